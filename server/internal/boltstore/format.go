// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package boltstore

import (
	"encoding/binary"
	"fmt"

	"go.etcd.io/bbolt"
)

// The buckets of the file. "format" holds the version of the file's form under
// "version", and the header of each table under the table's name; all three are
// sealed with a checksum.
var (
	formatBucket = []byte("format")
	versionKey   = []byte("version")
	credentials  = table{name: "credentials"}
	objectTable  = table{name: "objects"}
)

// A migration changes a file of version n into one of version n+1, within one
// transaction with all the others that are due.
type migration func(*bbolt.Tx) error

// migrations[i] leads from version i+1 to i+2. The version that a new file gets
// is one more than their number.
var migrations = []migration{}

func initialise(tx *bbolt.Tx) error {
	if _, err := tx.CreateBucket(formatBucket); err != nil {
		return err
	}
	if err := credentials.createIn(tx); err != nil {
		return err
	}
	if err := objectTable.createIn(tx); err != nil {
		return err
	}
	return writeVersion(tx, len(migrations)+1)
}

func writeVersion(tx *bbolt.Tx, v int) error {
	b := seal(string(versionKey), binary.BigEndian.AppendUint32(nil, uint32(v)))
	return tx.Bucket(formatBucket).Put(versionKey, b)
}

// migrate brings the file to the newest version. A file of a version that this
// program does not know is refused unchanged.
func (s *Store) migrate(o Options) error {
	steps := migrations
	if o.migrations != nil {
		steps = o.migrations
	}
	newest := len(steps) + 1
	var have int
	err := s.db.View(func(tx *bbolt.Tx) error {
		format := tx.Bucket(formatBucket)
		if format == nil {
			return corrupt("a bucket is missing")
		}
		b, ok := unseal(string(versionKey), format.Get(versionKey))
		if !ok || len(b) != 4 {
			return corrupt("the format version is damaged")
		}
		have = int(binary.BigEndian.Uint32(b))
		for _, t := range []table{credentials, objectTable} {
			if _, err := t.in(tx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	switch {
	case have > newest:
		return fmt.Errorf("the store file has format version %d, and this program knows up to %d: use a newer one", have, newest)
	case have < 1:
		return corrupt("the format version is damaged")
	case have == newest:
		return nil
	}
	return s.db.Update(func(tx *bbolt.Tx) error {
		s.lastTx = tx.ID()
		for v := have; v < newest; v++ {
			if err := steps[v-1](tx); err != nil {
				return fmt.Errorf("bringing the store file from format version %d to %d: %w", v, v+1, err)
			}
		}
		return writeVersion(tx, newest)
	})
}
