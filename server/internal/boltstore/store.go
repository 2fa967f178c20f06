// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Package boltstore keeps credentials and objects in one bbolt file in the data
// directory, for one process at a time.
//
// What it promises, beside the contracts of verifier.Store and objects.Store:
//
//   - Durable before acknowledged. Writers that arrive while the disk is busy
//     share the next transaction and its two fsyncs; a writer alone waits for
//     nobody.
//   - No acknowledgement after a failed sync. The kernel may drop the pages it
//     could not write and report success next time, so the store stops writing
//     until it is opened again (ErrStopped). A full disk is different: nothing
//     was acknowledged, and writing goes on when there is room.
//   - Damage is an error (ErrCorrupt), never a wrong answer and never "unknown":
//     see table. Every way into bbolt is guarded against its panics and against
//     faults in the mapped file.
//
// Caveats: a Get that runs while a Put is being synced may already see it. Old
// bytes stay in free pages of the file until they are written over; Restore of
// a Backup makes a file without them.
package boltstore

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/watchword-project/watchword/server/internal/objects"
	"github.com/watchword-project/watchword/server/internal/verifier"
)

// Names of the files in the data directory.
const (
	FileName = "watchword.db"
	lockName = "watchword.lock"
	newName  = "watchword.db.new"
)

// Errors of this package.
var (
	// ErrInUse is returned by Open and Restore when another process has the
	// data directory.
	ErrInUse = errors.New("the data directory is in use by another process")
	// ErrCorrupt is returned when the file is damaged. What was asked for cannot
	// be answered; other answers are still good. The remedy is a backup.
	ErrCorrupt = errors.New("the store file is damaged")
	// ErrStopped is returned by writes after one that failed in a way that
	// leaves the state of the disk unknown, and also by reads if that write may
	// have changed what they see. The remedy is to open the store again.
	ErrStopped = errors.New("the store has stopped after a failed write")
	// ErrDiskFull is returned by writes that found no room. Nothing changed, and
	// the next write may succeed.
	ErrDiskFull = errors.New("the disk of the store is full")
	// ErrMissing is returned by Open with MustExist when there is no file.
	ErrMissing = errors.New("the store file is missing")

	errClosed = errors.New("the store is closed")
)

func corrupt(what string) error { return fmt.Errorf("%w: %s", ErrCorrupt, what) }

// Options of Open. The zero value opens the store or makes a new one.
type Options struct {
	// MustExist refuses to make a new store: for a data directory that is known
	// to have been in use, where an absent file is a loss.
	MustExist bool

	// noSync leaves out every fsync. Tests use it to show that they would see
	// a store that does.
	noSync bool
	// migrations replaces the list of the package in tests.
	migrations []migration
}

// Store is an open store. Its methods may be called concurrently.
type Store struct {
	db     *bbolt.DB
	file   *os.File // the same file, for reading pages
	unlock func() error

	queue   chan *request
	quit    chan struct{} // closed by Close
	stopped chan struct{} // closed when the committer has ended
	closing sync.Once

	failure atomic.Pointer[failure]

	// Of the committer alone.
	lastTx int // id of the last transaction known to be durable
	wedged bool
}

// failure is why the store stopped writing.
type failure struct {
	cause      error
	unreadable bool // the failed write may be visible without being durable
}

var (
	_ verifier.Store    = (*Store)(nil)
	_ verifier.Importer = (*Store)(nil)
	_ objects.Store     = (*Store)(nil)
)

// Lock takes a data directory that holds no store for this process, until unlock
// is called or the process ends, however it ends. It returns ErrInUse when
// another process has the directory.
func Lock(dir string) (unlock func() error, err error) { return lock(filepath.Join(dir, lockName)) }

// Open opens the store in the directory dir, which must exist, and makes one if
// there is none. The file gets mode 0600. Open checks both header pages, the
// list of free pages and the upper levels of the tree before it trusts the file;
// this reads about 1/200 of it.
func Open(dir string, o Options) (_ *Store, err error) {
	unlock, err := lock(filepath.Join(dir, lockName))
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, unlock())
		}
	}()
	path := filepath.Join(dir, FileName)
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		if o.MustExist {
			return nil, ErrMissing
		}
		if err := create(dir, o, func(*bbolt.DB) error { return nil }); err != nil {
			return nil, fmt.Errorf("making a store: %w", err)
		}
	} else if err != nil {
		return nil, err
	}
	lastTx, err := inspect(path)
	if err != nil {
		return nil, err
	}
	db, err := openFile(path, o)
	if err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, errors.Join(err, guard(db.Close))
	}
	s := &Store{
		db:      db,
		file:    file,
		unlock:  unlock,
		queue:   make(chan *request, 1024),
		quit:    make(chan struct{}),
		stopped: make(chan struct{}),
		lastTx:  lastTx,
	}
	if err := guard(func() error { return s.migrate(o) }); err != nil {
		return nil, errors.Join(err, guard(db.Close), file.Close())
	}
	go s.commitLoop()
	return s, nil
}

const (
	pageSize = 4096
	// mapSize is the address space set aside for the file, on 64-bit systems. It
	// costs no memory; while the file fits, a long read such as a backup never
	// holds up a writer that must map more.
	mapSize   = 64 << 30
	growth    = 1 << 20 // the file grows by this, in bytes
	inUseWait = 100 * time.Millisecond
)

func openFile(path string, o Options) (db *bbolt.DB, err error) {
	opts := &bbolt.Options{
		Timeout:      inUseWait,
		FreelistType: bbolt.FreelistMapType,
		PageSize:     pageSize,
		NoSync:       o.noSync || plantUnsynced,
		NoGrowSync:   o.noSync || plantUnsynced,
		NoStatistics: true,
	}
	if math.MaxInt > math.MaxInt32 {
		opts.InitialMmapSize = mapSize & math.MaxInt
	}
	open := func() error { db, err = bbolt.Open(path, 0o600, opts); return err }
	err = guard(open)
	if errors.Is(err, syscall.ENOMEM) { // a limit on address space
		opts.InitialMmapSize = 0
		err = guard(open)
	}
	switch {
	case err == nil:
		db.AllocSize = growth
		return db, nil
	case errors.Is(err, berrors.ErrTimeout):
		return nil, ErrInUse
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrVersionMismatch), errors.Is(err, berrors.ErrChecksum):
		return nil, corrupt(err.Error())
	}
	return nil, err
}

// create makes the file of a new store beside its final name, lets fill write
// to it, syncs it and renames it. A crash leaves no file or a whole one.
func create(dir string, o Options, fill func(*bbolt.DB) error) (err error) {
	path := filepath.Join(dir, newName)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	db, err := openFile(path, o)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	err = db.Update(initialise)
	if err == nil {
		err = fill(db)
	}
	if err == nil && !o.noSync {
		err = db.Sync()
	}
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	if err := os.Rename(path, filepath.Join(dir, FileName)); err != nil {
		return err
	}
	if o.noSync {
		return nil
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Close waits for the writes that were accepted, then releases the directory.
// Writes that come later fail.
func (s *Store) Close() error {
	err := errClosed
	s.closing.Do(func() {
		close(s.quit)
		<-s.stopped
		err = s.closeDB()
		err = errors.Join(err, s.file.Close(), s.unlock())
	})
	return err
}

// closeDB closes the file. After a panic inside a write transaction bbolt may
// hold its own lock for ever; then the file is left to the end of the process.
func (s *Store) closeDB() error {
	closed := make(chan error, 1)
	go func() { closed <- guard(s.db.Close) }()
	if !s.wedged {
		return <-closed
	}
	select {
	case err := <-closed:
		return err
	case <-time.After(time.Second):
		return s.Err()
	}
}

// Err returns why the store no longer writes, or nil. It is for readiness.
func (s *Store) Err() error {
	if f := s.failure.Load(); f != nil {
		return fmt.Errorf("%w: %w", ErrStopped, f.cause)
	}
	return nil
}

// guard turns a panic of f into ErrCorrupt, also one raised by a fault in the
// mapped file, which would otherwise end the process.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrCorrupt, p)
		}
	}()
	return f()
}

// Get implements verifier.Store.
func (s *Store) Get(ctx context.Context, tenant string, subject verifier.Pseudonym) (r verifier.Record, err error) {
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		t, err := credentials.in(tx)
		if err != nil {
			return err
		}
		v, found, err := t.get(credentialKey(tenant, subject))
		if err != nil {
			return err
		}
		if !found {
			return verifier.ErrUnknownSubject
		}
		r, err = parseRecord(tenant, subject, v)
		return err
	})
	return r, err
}

// Put implements verifier.Store.
func (s *Store) Put(ctx context.Context, r verifier.Record) error {
	if err := r.Check(); err != nil {
		return err
	}
	return s.do(ctx, putRecord(r))[0]
}

// importChunk is how many records of PutAll share a transaction. Other writers
// wait that long at most, and it bounds the memory of an import.
const importChunk = 2048

// PutAll implements verifier.Importer. The more records it gets at once, the
// less it writes: it makes room for all of them first and then goes through the
// file in order, so that neighbours share pages. 100,000 at once are plenty.
func (s *Store) PutAll(ctx context.Context, rs []verifier.Record) []error {
	errs := make([]error, len(rs))
	order := make([]int, 0, len(rs)) // of those that are well formed
	for i, r := range rs {
		if errs[i] = r.Check(); errs[i] == nil {
			order = append(order, i)
		}
	}
	if len(order) > importChunk {
		blocks, err := s.reserve(ctx, rs, order)
		if err != nil {
			for _, i := range order {
				errs[i] = err
			}
			return errs
		}
		homes := make([]uint32, len(rs))
		for _, i := range order {
			homes[i] = home(credentialKey(rs[i].Tenant, rs[i].Subject), blocks)
		}
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(homes[a], homes[b]) })
	}
	for chunk := range slices.Chunk(order, importChunk) {
		changes := make([]change, len(chunk))
		for j, i := range chunk {
			changes[j] = putRecord(rs[i])
		}
		for j, err := range s.do(ctx, changes...) {
			errs[chunk[j]] = err
		}
	}
	return errs
}

// reserve splits blocks until there are as many as the table will need with
// the records, about, and returns how many there are.
func (s *Store) reserve(ctx context.Context, rs []verifier.Record, order []int) (blocks uint32, err error) {
	const sample = 100
	var bytes uint64
	for _, i := range order[:sample] {
		bytes += uint64(len(credentialKey(rs[i].Tenant, rs[i].Subject)) + len(verifier.AppendRecord(nil, rs[i])) + 3)
	}
	bytes = bytes * uint64(len(order)) / sample
	grow := func(t *tables) error {
		o := t.credentials
		for range importChunk {
			if blocks = o.header.blocks; blocks >= blocksFor(o.header.bytes+bytes) {
				break
			}
			if err := o.split(); err != nil {
				return err
			}
			blocks = o.header.blocks
		}
		return nil
	}
	for before := uint32(math.MaxUint32); blocks != before; {
		before = blocks
		if err := s.do(ctx, grow)[0]; err != nil {
			return 0, err
		}
	}
	return blocks, nil
}

func putRecord(r verifier.Record) change {
	return changeRecord(r.Tenant, r.Subject, r.Version-1, verifier.AppendRecord(nil, r))
}

// Remove implements verifier.Store.
func (s *Store) Remove(ctx context.Context, tenant string, subject verifier.Pseudonym, version uint64) error {
	if version == 0 {
		return verifier.ErrConflict
	}
	return s.do(ctx, changeRecord(tenant, subject, version, nil))[0]
}

// changeRecord writes a value over the record of a version; nil removes it.
func changeRecord(tenant string, subject verifier.Pseudonym, expected uint64, value []byte) change {
	key := credentialKey(tenant, subject)
	return func(t *tables) error {
		old, found, err := t.credentials.get(key)
		if err != nil {
			return err
		}
		var stored uint64
		if found {
			r, err := parseRecord(tenant, subject, old)
			if err != nil {
				return err
			}
			stored = r.Version
		}
		if stored != expected {
			return verifier.ErrConflict
		}
		return t.credentials.set(key, value)
	}
}

// All implements verifier.Store. It reads a few blocks at a time and yields
// between transactions. A record that moves while All walks moves to a higher
// block, so it may be yielded twice, and is never missed.
func (s *Store) All(ctx context.Context) iter.Seq2[verifier.Record, error] {
	return func(yield func(verifier.Record, error) bool) {
		var chunk []verifier.Record
		for i, blocks := uint32(0), uint32(1); i < blocks; {
			chunk = chunk[:0]
			err := s.view(ctx, func(tx *bbolt.Tx) error {
				t, err := credentials.in(tx)
				if err != nil {
					return err
				}
				for blocks = t.header.blocks; i < blocks && len(chunk) < 256; i++ {
					err := t.each(i, func(key, value []byte) error {
						r, err := parseCredential(key, value)
						chunk = append(chunk, r)
						return err
					})
					if err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				yield(verifier.Record{}, err)
				return
			}
			for _, r := range chunk {
				if !yield(r, nil) {
					return
				}
			}
		}
	}
}

// The key of a credential is the tenant, then the 16 bytes of the subject.
func credentialKey(tenant string, subject verifier.Pseudonym) []byte {
	return append(append(make([]byte, 0, len(tenant)+len(subject)), tenant...), subject[:]...)
}

func parseCredential(key, value []byte) (verifier.Record, error) {
	var subject verifier.Pseudonym
	n := len(key) - len(subject)
	if n < 0 {
		return verifier.Record{}, corrupt("a key is malformed")
	}
	copy(subject[:], key[n:])
	return parseRecord(string(key[:n]), subject, value)
}

func parseRecord(tenant string, subject verifier.Pseudonym, b []byte) (verifier.Record, error) {
	r, err := verifier.ParseRecord(tenant, subject, b)
	if err != nil {
		return r, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return r, nil
}

// Load implements objects.Store.
func (s *Store) Load(ctx context.Context, kind, tenant, name string) (o objects.Object, err error) {
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		t, err := objectTable.in(tx)
		if err != nil {
			return err
		}
		o, err = t.load(kind, tenant, name)
		return err
	})
	return o, err
}

func (o *openTable) load(kind, tenant, name string) (objects.Object, error) {
	v, found, err := o.get(objectKey(kind, tenant, name))
	if err != nil {
		return objects.Object{}, err
	}
	if !found {
		return objects.Object{}, objects.ErrNotFound
	}
	version, n := binary.Uvarint(v)
	if n <= 0 {
		return objects.Object{}, corrupt("an object is malformed")
	}
	return objects.Object{Kind: kind, Tenant: tenant, Name: name, Version: version, Data: bytes.Clone(v[n:])}, nil
}

// Save implements objects.Store.
func (s *Store) Save(ctx context.Context, o objects.Object) error {
	if err := o.Check(); err != nil {
		return err
	}
	value := append(binary.AppendUvarint(nil, o.Version), o.Data...)
	return s.changeObject(ctx, o.Kind, o.Tenant, o.Name, o.Version-1, value)
}

// Delete implements objects.Store.
func (s *Store) Delete(ctx context.Context, kind, tenant, name string, version uint64) error {
	if version == 0 {
		return objects.ErrConflict
	}
	return s.changeObject(ctx, kind, tenant, name, version, nil)
}

func (s *Store) changeObject(ctx context.Context, kind, tenant, name string, expected uint64, value []byte) error {
	return s.do(ctx, func(t *tables) error {
		old, err := t.objects.load(kind, tenant, name)
		if err != nil && !errors.Is(err, objects.ErrNotFound) {
			return err
		}
		if old.Version != expected {
			return objects.ErrConflict
		}
		return t.objects.set(objectKey(kind, tenant, name), value)
	})[0]
}

// List implements objects.Store. It collects the names in one transaction and
// reads the objects in short ones.
func (s *Store) List(ctx context.Context, kind, tenant string) iter.Seq2[objects.Object, error] {
	return func(yield func(objects.Object, error) bool) {
		type name struct{ tenant, name string }
		var names []name
		err := s.view(ctx, func(tx *bbolt.Tx) error {
			t, err := objectTable.in(tx)
			if err != nil {
				return err
			}
			for i := range t.header.blocks {
				block, err := t.readBlock(i)
				for err == nil && len(block) > 0 {
					var e entry
					if e, block, err = nextEntry(block); err != nil {
						break
					}
					var k, tn, n string
					if k, tn, n, err = parseObjectKey(e.key); err != nil {
						break
					}
					if k == kind && (tenant == objects.AllTenants || tenant == tn) {
						names = append(names, name{tn, n})
					}
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			yield(objects.Object{}, err)
			return
		}
		slices.SortFunc(names, func(a, b name) int {
			if c := strings.Compare(a.tenant, b.tenant); c != 0 {
				return c
			}
			return strings.Compare(a.name, b.name)
		})
		for _, n := range names {
			o, err := s.Load(ctx, kind, n.tenant, n.name)
			if errors.Is(err, objects.ErrNotFound) { // deleted since
				continue
			}
			if !yield(o, err) || err != nil {
				return
			}
		}
	}
}

// The key of an object is kind and tenant, each behind its length in one byte,
// then the name.
func objectKey(kind, tenant, name string) []byte {
	b := binary.AppendUvarint(make([]byte, 0, 4+len(kind)+len(tenant)+len(name)), uint64(len(kind)))
	b = binary.AppendUvarint(append(b, kind...), uint64(len(tenant)))
	return append(append(b, tenant...), name...)
}

func parseObjectKey(b []byte) (kind, tenant, name string, err error) {
	var parts [2]string
	for i := range parts {
		n, w := binary.Uvarint(b)
		if w <= 0 || n > uint64(len(b)-w) {
			return "", "", "", corrupt("a key is malformed")
		}
		parts[i], b = string(b[w:w+int(n)]), b[w+int(n):]
	}
	return parts[0], parts[1], string(b), nil
}

// view runs f in a read transaction.
func (s *Store) view(ctx context.Context, f func(*bbolt.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if fl := s.failure.Load(); fl != nil && fl.unreadable {
		return s.Err()
	}
	err := guard(func() error { return s.db.View(f) })
	if errors.Is(err, berrors.ErrDatabaseNotOpen) {
		return errClosed
	}
	return err
}
