// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package pgstore

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// migrations lead from each version of the schema to the next; a database
// without watchword's tables has version 0. One that was released is never
// changed. Texts are compared by byte (COLLATE "C"), so that order and equality
// do not depend on the server's locale.
var migrations = []string{`
CREATE TABLE watchword_credentials (
	tenant         text COLLATE "C" NOT NULL,
	subject        bytea NOT NULL CHECK (length(subject) = 16),
	version        bigint NOT NULL CHECK (version > 0),
	revision       bigint NOT NULL,
	state          smallint NOT NULL,
	exhausted      boolean NOT NULL,
	use            smallint NOT NULL,
	hash           text NOT NULL,
	history        text[] NOT NULL,
	norm           text NOT NULL,
	policy         text NOT NULL,
	policy_version text NOT NULL,
	created        timestamptz,
	changed        timestamptz,
	last_login     timestamptz,
	tombstone      boolean NOT NULL,
	PRIMARY KEY (tenant, subject)
);
CREATE TABLE watchword_objects (
	kind    text COLLATE "C" NOT NULL,
	tenant  text COLLATE "C" NOT NULL,
	name    text COLLATE "C" NOT NULL,
	version bigint NOT NULL CHECK (version > 0),
	data    bytea NOT NULL,
	PRIMARY KEY (kind, tenant, name)
);
CREATE TABLE watchword_schema (version integer NOT NULL);
INSERT INTO watchword_schema (version) VALUES (0);
`}

// migrationLock is the key of the advisory lock under which one process at a
// time migrates: "watchwrd" in ASCII.
const migrationLock = 0x7761746368777264

// migrate brings the schema to the newest version. If it is there already, this
// is one SELECT, for which the role needs no more rights than for serving.
func (s *Store) migrate(ctx context.Context) error {
	var encoding string
	if err := s.pool.QueryRow(ctx, `SHOW server_encoding`).Scan(&encoding); err != nil {
		return fmt.Errorf("connecting to PostgreSQL: %w", err)
	}
	if encoding != "UTF8" {
		return fmt.Errorf("the PostgreSQL database has the encoding %s: make one with UTF8", encoding)
	}
	version, err := schemaVersion(ctx, s.pool)
	if err != nil || version == len(migrations) {
		return err
	}
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(migrationLock)); err != nil {
			return failed("waiting to migrate", err)
		}
		version, err := schemaVersion(ctx, tx) // another process may have been first
		if err != nil || version == len(migrations) {
			return err
		}
		for ; version < len(migrations); version++ {
			if _, err := tx.Exec(ctx, migrations[version]); err != nil {
				return failed(fmt.Sprintf("bringing the schema to version %d", version+1), err)
			}
		}
		if _, err := tx.Exec(ctx, `UPDATE watchword_schema SET version = $1`, version); err != nil {
			return failed("noting the schema's version", err)
		}
		return nil
	})
}

type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// schemaVersion returns the version of the schema, and an error if this program
// does not know it.
func schemaVersion(ctx context.Context, q querier) (int, error) {
	var exists bool
	// Not to_regclass: it asks a cache that a transaction which waited for
	// another may not have refreshed.
	const find = `SELECT EXISTS (SELECT FROM pg_catalog.pg_tables WHERE tablename = 'watchword_schema' AND schemaname = ANY (current_schemas(false)))`
	if err := q.QueryRow(ctx, find).Scan(&exists); err != nil {
		return 0, failed("reading the schema's version", err)
	}
	if !exists {
		return 0, nil
	}
	var version int
	if err := q.QueryRow(ctx, `SELECT version FROM watchword_schema`).Scan(&version); err != nil {
		return 0, failed("reading the schema's version", err)
	}
	if version < 1 || version > len(migrations) {
		return 0, fmt.Errorf("the PostgreSQL schema has version %d, and this program knows up to %d: use a newer one", version, len(migrations))
	}
	return version, nil
}

// CheckDurability returns, as sentences, the server's settings under which what
// was acknowledged may be lost. No finding means that a commit survives the loss
// of power on the server's machine.
func (s *Store) CheckDurability(ctx context.Context) (findings []string, err error) {
	for setting, harm := range map[string]string{
		"fsync":            "a loss of power can damage or lose everything",
		"full_page_writes": "a loss of power can damage pages that were being written",
	} {
		var value string
		if err := s.pool.QueryRow(ctx, `SELECT current_setting($1)`, setting).Scan(&value); err != nil {
			return nil, failed("reading settings", err)
		}
		if value != "on" {
			findings = append(findings, fmt.Sprintf("PostgreSQL runs with %s=%s: %s; set it to on", setting, value, harm))
		}
	}
	return findings, nil
}

// Role tells whether the role in use is a superuser, and the server's time.
func (s *Store) Role(ctx context.Context) (superuser bool, clock time.Time, err error) {
	err = s.pool.QueryRow(ctx, `SELECT rolsuper, clock_timestamp() FROM pg_roles WHERE rolname = current_user`).Scan(&superuser, &clock)
	if err != nil {
		return false, time.Time{}, failed("reading the role", err)
	}
	return superuser, clock, nil
}
