// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Package pgstore keeps credentials and objects in a PostgreSQL database, for
// any number of processes.
//
// A write is one statement in a transaction of its own, with synchronous_commit
// on whatever the server's default: what Put acknowledges is as durable as the
// server makes a commit. CheckDurability says where the server's settings give
// less. A statement is never repeated by itself; when the connection breaks
// during one, the error says that the outcome is unknown.
package pgstore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/watchword-project/watchword/server/internal/objects"
	"github.com/watchword-project/watchword/server/internal/policy"
	"github.com/watchword-project/watchword/server/internal/verifier"
)

// Config says where the database is and how it is used.
type Config struct {
	// DSN is a connection string, as a URL or in key=value form. Over a network
	// it should say sslmode=verify-full. The role needs SELECT, INSERT, UPDATE
	// and DELETE on the tables; CREATE in the schema only where Open has to make
	// or migrate them.
	DSN string
	// MaxConns bounds the connections of this process. Zero means 16.
	MaxConns int
	// StatementTimeout bounds each statement on the server. Zero means 5 s. A
	// statement of an import gets twelve times as long.
	StatementTimeout time.Duration
	// ConnectTimeout bounds a connection attempt. Zero means 5 s.
	ConnectTimeout time.Duration
}

// Store is a connected store. Its methods may be called concurrently.
type Store struct {
	pool          *pgxpool.Pool
	importTimeout time.Duration
}

var (
	_ verifier.Store    = (*Store)(nil)
	_ verifier.Importer = (*Store)(nil)
	_ objects.Store     = (*Store)(nil)
)

// Open connects and brings the schema to this program's version. It refuses a
// schema of a later version, and a database whose encoding is not UTF-8.
func Open(ctx context.Context, c Config) (*Store, error) {
	pc, err := pgxpool.ParseConfig(c.DSN)
	if err != nil {
		return nil, errors.New("the PostgreSQL connection string is malformed") // the cause repeats it
	}
	if c.MaxConns == 0 {
		c.MaxConns = 16
	}
	if c.StatementTimeout == 0 {
		c.StatementTimeout = 5 * time.Second
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = 5 * time.Second
	}
	pc.MaxConns = int32(min(c.MaxConns, math.MaxInt32))
	pc.ConnConfig.ConnectTimeout = c.ConnectTimeout
	for name, value := range map[string]string{
		"application_name":                    "watchword",
		"synchronous_commit":                  "on",
		"default_transaction_isolation":       "read committed",
		"statement_timeout":                   fmt.Sprint(c.StatementTimeout.Milliseconds()),
		"lock_timeout":                        fmt.Sprint(c.StatementTimeout.Milliseconds()),
		"idle_in_transaction_session_timeout": "60000",
	} {
		pc.ConnConfig.RuntimeParams[name] = value
	}
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return nil, fmt.Errorf("connecting to PostgreSQL: %w", err)
	}
	s := &Store{pool: pool, importTimeout: 12 * c.StatementTimeout}
	if err := s.migrate(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return s, nil
}

// Close waits for running statements and closes the connections.
func (s *Store) Close() error { s.pool.Close(); return nil }

// failed adds to an error what was going on. The text of a server error has no
// values in it; those stand in its detail, which is not part of the text.
func failed(what string, err error) error { return fmt.Errorf("postgres: %s: %w", what, err) }

const columns = `tenant, subject, version, revision, state, exhausted, use, hash, history, norm, policy, policy_version, created, changed, last_login, tombstone`

// values returns the values of the columns.
func values(r verifier.Record) []any {
	moment := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		t = t.UTC().Truncate(time.Microsecond)
		return &t
	}
	history := r.History
	if history == nil {
		history = []string{}
	}
	return []any{
		r.Tenant, r.Subject[:], int64(r.Version), int64(r.Revision), int16(r.State), r.Exhausted, int16(r.Use), r.Hash, history, r.Norm, r.Policy, r.PolicyVersion,
		moment(r.Created), moment(r.Changed), moment(r.LastLogin), r.Tombstone,
	}
}

func scanRecord(row pgx.Row) (verifier.Record, error) {
	var r verifier.Record
	var subject []byte
	var version, revision int64
	var state, use int16
	var created, changed, lastLogin *time.Time
	err := row.Scan(&r.Tenant, &subject, &version, &revision, &state, &r.Exhausted, &use, &r.Hash, &r.History, &r.Norm, &r.Policy, &r.PolicyVersion,
		&created, &changed, &lastLogin, &r.Tombstone)
	if err != nil {
		return verifier.Record{}, err
	}
	if len(subject) != len(r.Subject) {
		return verifier.Record{}, errors.New("a subject is malformed")
	}
	copy(r.Subject[:], subject)
	if revision < 0 || revision > math.MaxUint32 || use < 0 || use > math.MaxUint8 {
		return verifier.Record{}, errors.New("a credential is malformed")
	}
	r.Version, r.Revision, r.State, r.Use = uint64(version), uint32(revision), verifier.State(state), policy.Use(use)
	for to, from := range map[*time.Time]*time.Time{&r.Created: created, &r.Changed: changed, &r.LastLogin: lastLogin} {
		if from != nil {
			*to = from.UTC()
		}
	}
	return r, r.Check()
}

// Get implements verifier.Store.
func (s *Store) Get(ctx context.Context, tenant string, subject verifier.Pseudonym) (verifier.Record, error) {
	r, err := scanRecord(s.pool.QueryRow(ctx, `SELECT `+columns+` FROM watchword_credentials WHERE tenant = $1 AND subject = $2`, tenant, subject[:]))
	if errors.Is(err, pgx.ErrNoRows) {
		return verifier.Record{}, verifier.ErrUnknownSubject
	}
	if err != nil {
		return verifier.Record{}, failed("reading a credential", err)
	}
	return r, nil
}

const (
	insertRecord = `INSERT INTO watchword_credentials (` + columns + `)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) ON CONFLICT DO NOTHING`
	updateRecord = `UPDATE watchword_credentials SET
version = $3::bigint, revision = $4, state = $5, exhausted = $6, use = $7, hash = $8, history = $9, norm = $10, policy = $11, policy_version = $12,
created = $13, changed = $14, last_login = $15, tombstone = $16
WHERE tenant = $1 AND subject = $2 AND version = $3::bigint - 1`
)

// Put implements verifier.Store. The condition on the version stands in the
// statement that writes, so the server decides each race: of two statements
// that find the same version, the second waits for the first and then finds
// another.
func (s *Store) Put(ctx context.Context, r verifier.Record) error {
	if err := r.Check(); err != nil {
		return err
	}
	statement := updateRecord
	if r.Version == 1 {
		statement = insertRecord
	}
	tag, err := s.pool.Exec(ctx, statement, values(r)...)
	if err != nil {
		return failed("writing a credential", err)
	}
	if tag.RowsAffected() == 0 {
		return verifier.ErrConflict
	}
	return nil
}

// Remove implements verifier.Store.
func (s *Store) Remove(ctx context.Context, tenant string, subject verifier.Pseudonym, version uint64) error {
	if version > math.MaxInt64 {
		return verifier.ErrConflict
	}
	tag, err := s.pool.Exec(ctx, `DELETE FROM watchword_credentials WHERE tenant = $1 AND subject = $2 AND version = $3`, tenant, subject[:], int64(version))
	if err != nil {
		return failed("removing a credential", err)
	}
	if tag.RowsAffected() == 0 {
		return verifier.ErrConflict
	}
	return nil
}

// walkChunk is how many records All reads with one statement. It holds no
// transaction between two.
const walkChunk = 500

// All implements verifier.Store, in the order of tenant and subject.
func (s *Store) All(ctx context.Context) iter.Seq2[verifier.Record, error] {
	return func(yield func(verifier.Record, error) bool) {
		// The first chunk begins before the least key there can be.
		tenant, subject := "", []byte{}
		for {
			chunk, err := s.recordsAfter(ctx, tenant, subject)
			if err != nil {
				yield(verifier.Record{}, failed("reading credentials", err))
				return
			}
			for _, r := range chunk {
				if !yield(r, nil) {
					return
				}
			}
			if len(chunk) < walkChunk {
				return
			}
			last := chunk[len(chunk)-1]
			tenant, subject = last.Tenant, last.Subject[:]
		}
	}
}

func (s *Store) recordsAfter(ctx context.Context, tenant string, subject []byte) ([]verifier.Record, error) {
	rows, err := s.pool.Query(ctx, `SELECT `+columns+` FROM watchword_credentials
WHERE (tenant, subject) > ($1, $2) ORDER BY tenant, subject LIMIT $3`, tenant, subject, walkChunk)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (verifier.Record, error) { return scanRecord(row) })
}

// importChunk is how many records PutAll writes in one transaction.
const importChunk = 5000

// PutAll implements verifier.Importer. First versions go by COPY into a
// temporary table and from there in one statement; all others one by one.
func (s *Store) PutAll(ctx context.Context, rs []verifier.Record) []error {
	errs := make([]error, len(rs))
	type key struct {
		tenant  string
		subject verifier.Pseudonym
	}
	for from := 0; from < len(rs); from += importChunk {
		places := map[key]int{} // of the records to be copied
		var alone []int
		for i, r := range rs[from:min(from+importChunk, len(rs))] {
			i, k := from+i, key{r.Tenant, r.Subject}
			if errs[i] = r.Check(); errs[i] != nil {
				continue
			}
			if _, twice := places[k]; twice || r.Version != 1 {
				alone = append(alone, i)
				continue
			}
			places[k] = i
			errs[i] = verifier.ErrConflict // unless the server says that it was written
		}
		copied := make([]verifier.Record, 0, len(places))
		for _, i := range places {
			copied = append(copied, rs[i])
		}
		written, err := s.copyRecords(ctx, copied)
		if err != nil {
			err = failed("importing credentials", err)
			for _, i := range places {
				errs[i] = err
			}
		}
		for _, r := range written {
			errs[places[key{r.Tenant, r.Subject}]] = nil
		}
		for _, i := range alone {
			errs[i] = s.Put(ctx, rs[i])
		}
	}
	return errs
}

// copyRecords writes records of version 1 and returns the keys of those that
// were new.
func (s *Store) copyRecords(ctx context.Context, rs []verifier.Record) (written []verifier.Record, err error) {
	if len(rs) == 0 {
		return nil, ctx.Err()
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT set_config('statement_timeout', $1, true)`, fmt.Sprint(s.importTimeout.Milliseconds())); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `CREATE TEMPORARY TABLE watchword_import (LIKE watchword_credentials) ON COMMIT DROP`); err != nil {
			return err
		}
		source := pgx.CopyFromSlice(len(rs), func(i int) ([]any, error) { return values(rs[i]), nil })
		if _, err := tx.CopyFrom(ctx, pgx.Identifier{"watchword_import"}, strings.Split(columns, ", "), source); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `INSERT INTO watchword_credentials (`+columns+`)
SELECT `+columns+` FROM watchword_import ON CONFLICT DO NOTHING RETURNING tenant, subject`)
		if err != nil {
			return err
		}
		written, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (r verifier.Record, err error) {
			var subject []byte
			err = row.Scan(&r.Tenant, &subject)
			copy(r.Subject[:], subject)
			return r, err
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return written, nil
}

// Load implements objects.Store.
func (s *Store) Load(ctx context.Context, kind, tenant, name string) (objects.Object, error) {
	o := objects.Object{Kind: kind, Tenant: tenant, Name: name}
	var version int64
	err := s.pool.QueryRow(ctx, `SELECT version, data FROM watchword_objects WHERE kind = $1 AND tenant = $2 AND name = $3`, kind, tenant, name).Scan(&version, &o.Data)
	if errors.Is(err, pgx.ErrNoRows) {
		return objects.Object{}, objects.ErrNotFound
	}
	if err != nil {
		return objects.Object{}, failed("reading an object", err)
	}
	o.Version = uint64(version)
	return o, nil
}

// Save implements objects.Store.
func (s *Store) Save(ctx context.Context, o objects.Object) error {
	if err := o.Check(); err != nil {
		return err
	}
	statement := `UPDATE watchword_objects SET version = $4::bigint, data = $5 WHERE kind = $1 AND tenant = $2 AND name = $3 AND version = $4::bigint - 1`
	if o.Version == 1 {
		statement = `INSERT INTO watchword_objects (kind, tenant, name, version, data) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`
	}
	data := o.Data
	if data == nil {
		data = []byte{}
	}
	tag, err := s.pool.Exec(ctx, statement, o.Kind, o.Tenant, o.Name, int64(o.Version), data)
	if err != nil {
		return failed("writing an object", err)
	}
	if tag.RowsAffected() == 0 {
		return objects.ErrConflict
	}
	return nil
}

// Delete implements objects.Store.
func (s *Store) Delete(ctx context.Context, kind, tenant, name string, version uint64) error {
	if version > math.MaxInt64 {
		return objects.ErrConflict
	}
	tag, err := s.pool.Exec(ctx, `DELETE FROM watchword_objects WHERE kind = $1 AND tenant = $2 AND name = $3 AND version = $4`, kind, tenant, name, int64(version))
	if err != nil {
		return failed("deleting an object", err)
	}
	if tag.RowsAffected() == 0 {
		return objects.ErrConflict
	}
	return nil
}

// listChunk is how many objects List reads with one statement: at the greatest
// size, 16 MiB.
const listChunk = 16

// List implements objects.Store.
func (s *Store) List(ctx context.Context, kind, tenant string) iter.Seq2[objects.Object, error] {
	return func(yield func(objects.Object, error) bool) {
		var last objects.Object // names have a byte at least, so this comes before all
		for {
			chunk, err := s.objectsAfter(ctx, kind, tenant, last)
			if err != nil {
				yield(objects.Object{}, failed("reading objects", err))
				return
			}
			for _, o := range chunk {
				if !yield(o, nil) {
					return
				}
			}
			if len(chunk) < listChunk {
				return
			}
			last = chunk[len(chunk)-1]
		}
	}
}

func (s *Store) objectsAfter(ctx context.Context, kind, tenant string, last objects.Object) ([]objects.Object, error) {
	query := `SELECT tenant, name, version, data FROM watchword_objects
WHERE kind = $1 AND tenant = $2 AND name > $3 ORDER BY name LIMIT $4`
	from := tenant
	if tenant == objects.AllTenants {
		query = `SELECT tenant, name, version, data FROM watchword_objects
WHERE kind = $1 AND (tenant, name) > ($2, $3) ORDER BY tenant, name LIMIT $4`
		from = last.Tenant
	}
	rows, err := s.pool.Query(ctx, query, kind, from, last.Name, listChunk)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (objects.Object, error) {
		o := objects.Object{Kind: kind}
		var version int64
		err := row.Scan(&o.Tenant, &o.Name, &version, &o.Data)
		o.Version = uint64(version)
		return o, err
	})
}
