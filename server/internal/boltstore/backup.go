// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package boltstore

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"

	"github.com/watchword-project/watchword/server/internal/objects"
)

// ErrBackup is returned by Restore for input that is not a whole backup.
var ErrBackup = errors.New("not a whole backup")

// A backup is a stream of entries, so it holds what is live and nothing that
// the file still remembers of what was deleted:
//
//	┌──────────┬────────┬──────────────┬───────────────────────────────┬──────┬─────────────────┬─────────┐
//	│ WWBACKUP │ form=1 │ label        │ table │ key        │ value      … │ 0    │ entries         │ SHA-256 │
//	│ 8        │ 1      │ length bytes │ 1     │ length bytes │ length bytes │ 1  │ 8 (BE) per table │ 32      │
//	└──────────┴────────┴──────────────┴───────────────────────────────┴──────┴─────────────────┴─────────┘
//
// Lengths are varints; table is 1 for credentials and 2 for objects. The digest
// covers everything before it, and nothing may follow it.
const (
	backupMagic = "WWBACKUP"
	backupForm  = 1
	backupEnd   = 0

	maxLabel  = 64 << 10
	maxKey    = 1 << 10
	maxLength = 2 << 20 // of a value
)

var backupTables = []table{credentials, objectTable}

// Backup writes the state of the store at one moment to w, while the store goes
// on serving; pages freed in the meantime are kept, so the file may grow. label
// is the caller's, at most 64 KiB, and Restore hands it back: it is the place
// for what the store's content depends on and does not hold, such as a check
// value of the pepper. The backup holds password hashes and is not encrypted.
func (s *Store) Backup(ctx context.Context, w io.Writer, label []byte) error {
	if len(label) > maxLabel {
		return errors.New("the label of a backup may have 64 KiB at most")
	}
	sum := sha256.New()
	buffered := bufio.NewWriterSize(w, 1<<18)
	out := io.MultiWriter(buffered, sum)
	var b []byte
	field := func(p []byte) { b = append(binary.AppendUvarint(b, uint64(len(p))), p...) }
	b = append(append(b, backupMagic...), backupForm)
	field(label)
	if _, err := out.Write(b); err != nil {
		return err
	}
	err := s.view(ctx, func(tx *bbolt.Tx) error {
		var counts []byte
		for i, table := range backupTables {
			t, err := table.in(tx)
			if err != nil {
				return err
			}
			n := uint64(0)
			for block := range t.header.blocks {
				if err := ctx.Err(); err != nil {
					return err
				}
				err := t.each(block, func(key, value []byte) error {
					n++
					b = append(b[:0], byte(i+1))
					field(key)
					field(value)
					_, err := out.Write(b)
					return err
				})
				if err != nil {
					return err
				}
			}
			if n != t.header.entries {
				return corrupt("entries are missing")
			}
			counts = binary.BigEndian.AppendUint64(counts, n)
		}
		_, err := out.Write(append([]byte{backupEnd}, counts...))
		return err
	})
	if err != nil {
		return err
	}
	if _, err := buffered.Write(sum.Sum(nil)); err != nil {
		return err
	}
	return buffered.Flush()
}

// Restore makes a store in dir from a backup. accept sees the label first and
// may refuse it. There must be no store in dir; a backup that is torn, changed
// or longer than it says is refused with ErrBackup; either way, and also after
// a crash, dir is then as it was.
func Restore(ctx context.Context, dir string, r io.Reader, accept func(label []byte) error) (err error) {
	unlock, err := lock(filepath.Join(dir, lockName))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	path := filepath.Join(dir, FileName)
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("restoring: %s: %w", FileName, fs.ErrExist)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	in := newBackupReader(r)
	label, err := in.begin()
	if err != nil {
		return err
	}
	if err := accept(label); err != nil {
		return err
	}
	return create(dir, Options{}, func(db *bbolt.DB) error {
		db.NoSync = true // create syncs once, at the end
		for more := true; more; {
			if err := ctx.Err(); err != nil {
				return err
			}
			err := guard(func() error {
				return db.Update(func(tx *bbolt.Tx) (err error) {
					more, err = in.fill(tx)
					return err
				})
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// backupReader reads a backup and keeps its digest.
type backupReader struct {
	in     *bufio.Reader
	sum    hash.Hash
	counts []uint64
}

func newBackupReader(r io.Reader) *backupReader {
	return &backupReader{in: bufio.NewReaderSize(r, 1<<18), sum: sha256.New(), counts: make([]uint64, len(backupTables))}
}

func torn(what string) error { return fmt.Errorf("%w: %s", ErrBackup, what) }

// bytes reads n bytes, all of them part of the digest.
func (br *backupReader) bytes(n int) ([]byte, error) {
	b := make([]byte, n)
	if err := br.full(b); err != nil {
		return nil, err
	}
	br.sum.Write(b)
	return b, nil
}

func (br *backupReader) full(b []byte) error {
	_, err := io.ReadFull(br.in, b)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return torn("it ends too early")
	}
	return err
}

// field reads a length of at most limit, and as many bytes.
func (br *backupReader) field(limit int) ([]byte, error) {
	var n uint64
	for shift := 0; ; shift += 7 {
		b, err := br.bytes(1)
		if err != nil {
			return nil, err
		}
		n |= uint64(b[0]&0x7f) << shift
		if n > uint64(limit) || shift > 28 {
			return nil, torn("a length is out of bounds")
		}
		if b[0] < 0x80 {
			return br.bytes(int(n))
		}
	}
}

func (br *backupReader) begin() (label []byte, err error) {
	b, err := br.bytes(len(backupMagic) + 1)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(b[:len(backupMagic)], []byte(backupMagic)) {
		return nil, torn("it does not begin like one")
	}
	if b[len(backupMagic)] != backupForm {
		return nil, torn("its form is not known to this program")
	}
	return br.field(maxLabel)
}

// fill puts the next entries into the tables, as many as fit one transaction,
// and says whether more may follow. The last call has seen and checked the end.
func (br *backupReader) fill(tx *bbolt.Tx) (more bool, err error) {
	open := make([]*openTable, len(backupTables))
	for i, t := range backupTables {
		if open[i], err = t.in(tx); err != nil {
			return false, err
		}
	}
	for range importChunk {
		tag, err := br.bytes(1)
		if err != nil {
			return false, err
		}
		if tag[0] == backupEnd {
			if err := br.end(); err != nil {
				return false, err
			}
			return false, writeHeaders(tx, open)
		}
		i := int(tag[0]) - 1
		if i >= len(open) {
			return false, torn("an entry belongs to no table")
		}
		key, err := br.field(maxKey)
		if err != nil {
			return false, err
		}
		value, err := br.field(maxLength)
		if err != nil {
			return false, err
		}
		if err := checkEntry(backupTables[i], key, value); err != nil {
			return false, err
		}
		if _, found, err := open[i].get(key); err != nil {
			return false, err
		} else if found {
			return false, torn("an entry comes twice")
		}
		if err := open[i].set(key, value); err != nil {
			return false, err
		}
		br.counts[i]++
	}
	return true, writeHeaders(tx, open)
}

func writeHeaders(tx *bbolt.Tx, open []*openTable) error {
	for _, t := range open {
		if err := t.writeHeader(tx); err != nil {
			return err
		}
	}
	return nil
}

// end reads what comes behind the last entry.
func (br *backupReader) end() error {
	for _, n := range br.counts {
		b, err := br.bytes(8)
		if err != nil {
			return err
		}
		if binary.BigEndian.Uint64(b) != n {
			return torn("entries are missing")
		}
	}
	want := br.sum.Sum(nil)
	got := make([]byte, len(want))
	if err := br.full(got); err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return torn("its digest does not match")
	}
	if _, err := br.in.ReadByte(); err != io.EOF {
		if err != nil {
			return err
		}
		return torn("something follows its end")
	}
	return nil
}

// checkEntry refuses an entry that the store could not read back.
func checkEntry(t table, key, value []byte) error {
	if t == credentials {
		if _, err := parseCredential(key, value); err != nil {
			return torn("a credential is malformed")
		}
		return nil
	}
	kind, tenant, name, err := parseObjectKey(key)
	version, n := binary.Uvarint(value)
	if err != nil || n <= 0 {
		return torn("an object is malformed")
	}
	o := objects.Object{Kind: kind, Tenant: tenant, Name: name, Version: version, Data: value[n:]}
	if o.Check() != nil || !bytes.Equal(key, objectKey(kind, tenant, name)) {
		return torn("an object is malformed")
	}
	return nil
}
