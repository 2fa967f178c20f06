// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package throttle

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// State on disk.
//
//	throttle.snapshot    every lane at some time
//	throttle.journal.N   what changed since, N counting up
//
// Both are a header and then frames. A snapshot ends in an end frame; it is
// written beside the old one and renamed over it.
//
//	header  "WWTHROT1" | u64 N: the first journal to replay after this snapshot
//	                     (in a journal, its own number) | u32 CRC-32C of both
//	frame   u8 table | u64 key | record, empty if the lane is gone | u32 CRC-32C
//	time    table 254, key = ms since 1970
//	end     table 255, key = number of frames before it
//
// A record's length follows from its first bytes. All numbers are
// little-endian. A lane that waits or is closed, a reset and a revocation are
// written before they are answered; all other changes every MemoryConfig.Flush. So
// killing the process loses at most that long of failures that had not led to a
// wait, and no wait, no closed lane and no reset; losing power may in addition lose
// the last syncEvery.
const (
	snapshotName = "throttle.snapshot"
	journalName  = "throttle.journal."
	magic        = "WWTHROT1"
	headerSize   = 8 + 8 + 4

	tableSubjects = 0 // and the next two, by channel
	tableDevices  = 8
	tableLists    = 9
	tablePairs    = 10
	tableAddress  = 16 // and the next two, by prefix
	frameTime     = 254
	frameEnd      = 255

	syncEvery = 50 * time.Millisecond
	// compactAt is how large the journals may grow before a snapshot replaces
	// them, unless the last snapshot was larger.
	compactAt = 32 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrDamaged is returned by New when the state on disk is not what was
// written. Nothing was changed; removing the snapshot and the journals starts anew, with no lane waiting or
// closed.
var ErrDamaged = errors.New("throttle state is damaged")

// appendPool appends the pool's encoding:
//
//	u64 last | u64 slow | u64 repeat | u16 fails | u8 closed | u8 n | u16 pending | u16 tagged | n × u64
func appendPool(b []byte, p *pool) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(p.last))
	b = binary.LittleEndian.AppendUint64(b, uint64(p.slow))
	b = binary.LittleEndian.AppendUint64(b, uint64(p.repeat))
	b = binary.LittleEndian.AppendUint16(b, p.fails)
	var closed byte
	if p.closed {
		closed = 1
	}
	b = append(b, closed, p.n)
	b = binary.LittleEndian.AppendUint16(b, p.pending)
	b = binary.LittleEndian.AppendUint16(b, p.tagged)
	for _, g := range p.guess[:p.n] {
		b = binary.LittleEndian.AppendUint64(b, uint64(g))
	}
	return b
}

const poolHead = 32

// parsePool reads one pool and returns what follows it. It accepts only what
// appendPool can have written.
func parsePool(b []byte) (p pool, rest []byte, ok bool) {
	if len(b) < poolHead {
		return pool{}, nil, false
	}
	p.last = int64(binary.LittleEndian.Uint64(b))
	p.slow = int64(binary.LittleEndian.Uint64(b[8:]))
	p.repeat = int64(binary.LittleEndian.Uint64(b[16:]))
	p.fails = binary.LittleEndian.Uint16(b[24:])
	p.closed = b[26] == 1
	p.n = b[27]
	p.pending = binary.LittleEndian.Uint16(b[28:])
	p.tagged = binary.LittleEndian.Uint16(b[30:])
	const far = maxTime + closedLife
	if p.last < 0 || p.last > far || p.slow < 0 || p.slow > far || p.repeat < 0 || p.repeat > far ||
		b[26] > 1 || p.n > entries || len(b) < poolHead+8*int(p.n) ||
		p.pending>>p.n != 0 || p.tagged>>p.n != 0 {
		return pool{}, nil, false
	}
	b = b[poolHead:]
	for i := range int(p.n) {
		p.guess[i] = entry(binary.LittleEndian.Uint64(b[8*i:]))
		if (p.pending>>i&1 != 0) != (p.guess[i].refs() > 0) {
			return pool{}, nil, false
		}
	}
	return p, b[8*int(p.n):], true
}

// A list is a count and as many devices: u32 id | u16 day | u8 closed.
func appendList(b []byte, d *devices) []byte {
	at := len(b)
	b = append(b, 0)
	for _, x := range d.d {
		if x.id != 0 {
			b[at]++
			b = binary.LittleEndian.AppendUint32(b, x.id)
			b = binary.LittleEndian.AppendUint16(b, x.day)
			b = append(b, x.closed)
		}
	}
	return b
}

func parseList(b []byte) (d devices, rest []byte, ok bool) {
	if len(b) < 1 || b[0] > knownDevices || len(b) < 1+7*int(b[0]) {
		return devices{}, nil, false
	}
	n := int(b[0])
	b = b[1:]
	for i := range n {
		d.d[i] = device{binary.LittleEndian.Uint32(b[7*i:]), binary.LittleEndian.Uint16(b[7*i+4:]), b[7*i+6]}
		if d.d[i].id == 0 {
			return devices{}, nil, false
		}
	}
	return d, b[7*n:], true
}

// frameMost is no less than the longest frame.
const frameMost = 1 + 8 + poolHead + 8*entries + 4

// seal closes the frame that begins at from.
func seal(b []byte, from int) []byte {
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[from:], castagnoli))
}

func openFrame(b []byte, table uint8, key uint64) []byte {
	return binary.LittleEndian.AppendUint64(append(b, table), key)
}

func header(number uint64) []byte {
	return seal(binary.LittleEndian.AppendUint64([]byte(magic), number), 0)
}

func parseHeader(b []byte) (uint64, bool) {
	if len(b) < headerSize || string(b[:8]) != magic ||
		binary.LittleEndian.Uint32(b[16:]) != crc32.Checksum(b[:16], castagnoli) {
		return 0, false
	}
	return binary.LittleEndian.Uint64(b[8:]), true
}

// journal is the writer of a Memory's state. A nil journal keeps nothing.
type journal struct {
	dir string
	log *slog.Logger
	m   *Memory
	now func() int64
	// soft is how often changes that may wait are written.
	soft time.Duration

	mu    sync.Mutex // guards buf and the counters' advance
	buf   []byte
	spare []byte
	made  atomic.Uint64 // bytes ever appended
	hard  atomic.Uint64 // value of made after the last change that must not wait

	one    sync.Mutex // held by whoever compacts
	files  sync.Mutex // guards what follows
	wrote  atomic.Uint64
	f      *os.File
	number uint64
	size   int64 // of the journals since the snapshot
	basis  int64 // of the snapshot
	failed bool  // the journal cannot be written; the next one may
	// sick: something is not on disk, until the next snapshot is.
	sick atomic.Bool

	stop chan struct{}
	done sync.WaitGroup
}

// note appends a pool's state. The shard of the key is locked, so that the
// journal has the changes of one lane in order.
func (j *journal) note(table uint8, key uint64, p *pool, hard bool) {
	if j == nil || !hard && *p != (pool{}) {
		return
	}
	j.mu.Lock()
	from := len(j.buf)
	j.buf = seal(appendPool(openFrame(j.buf, table, key), p), from)
	made := j.made.Add(uint64(len(j.buf) - from))
	if hard {
		j.hard.Store(made)
	}
	j.mu.Unlock()
}

func (j *journal) noteList(key uint64, d *devices) {
	if j == nil {
		return
	}
	j.mu.Lock()
	from := len(j.buf)
	j.buf = seal(appendList(openFrame(j.buf, tableLists, key), d), from)
	j.hard.Store(j.made.Add(uint64(len(j.buf) - from)))
	j.mu.Unlock()
}

// commit returns once every change that must not wait is with the system.
// Those who come while another writes share its next write.
func (j *journal) commit() {
	if j == nil {
		return
	}
	if upTo := j.hard.Load(); j.wrote.Load() < upTo {
		j.files.Lock()
		if j.wrote.Load() < upTo {
			j.write()
		}
		j.files.Unlock()
	}
}

// write hands the buffer to the system. files is held.
func (j *journal) write() {
	j.mu.Lock()
	b := j.buf
	j.buf, j.spare = j.spare[:0], nil
	made := j.made.Load()
	j.mu.Unlock()
	if len(b) > 0 && !j.failed {
		n, err := j.f.Write(b)
		j.size += int64(n)
		if err != nil {
			// Lanes stay right in memory; the next snapshot starts over.
			j.failed = true
			j.sick.Store(true)
			j.log.Error("throttle journal cannot be written", "err", err)
		}
	}
	j.spare = b
	j.wrote.Store(made)
}

// run syncs, flushes soft changes and compacts until stopped.
func (j *journal) run() {
	defer j.done.Done()
	tick := time.NewTicker(min(syncEvery, j.soft))
	defer tick.Stop()
	var synced uint64
	flushed := time.Now()
	for {
		select {
		case <-j.stop:
			return
		case <-tick.C:
		}
		if time.Since(flushed) >= j.soft {
			j.flush()
			flushed = time.Now()
			j.files.Lock()
			grown := j.sick.Load() || j.size > max(compactAt, j.basis)
			j.files.Unlock()
			if grown {
				if err := j.compact(); err != nil {
					j.log.Error("throttle snapshot cannot be written", "err", err)
				}
			}
		}
		if w := j.wrote.Load(); w != synced {
			j.files.Lock()
			f := j.f
			j.files.Unlock()
			if err := f.Sync(); err != nil && !errors.Is(err, os.ErrClosed) {
				j.sick.Store(true)
				j.log.Error("throttle journal cannot be synced", "err", err)
			}
			synced = w
		}
	}
}

// flush writes every lane that changed since the last flush.
func (j *journal) flush() {
	m := j.m
	for _, t := range m.pools() {
		flushTable(j, t, appendCell)
	}
	for _, t := range m.rates() {
		flushTable(j, t, appendRate)
	}
	flushTable(j, m.lists, appendDevices)
	j.append(func(b []byte) []byte { return openFrame(b, frameTime, uint64(j.now())) })
	j.files.Lock()
	j.write()
	j.files.Unlock()
}

func (j *journal) append(frame func([]byte) []byte) {
	j.mu.Lock()
	from := len(j.buf)
	j.buf = seal(frame(j.buf), from)
	j.made.Add(uint64(len(j.buf) - from))
	j.mu.Unlock()
}

func appendRate(b []byte, s *shard[int64], i int) []byte {
	return binary.LittleEndian.AppendUint64(b, uint64(s.slots[i].rec))
}

func appendDevices(b []byte, s *shard[devices], i int) []byte { return appendList(b, &s.slots[i].rec) }

func flushTable[R any](j *journal, t *table[R], enc func([]byte, *shard[R], int) []byte) {
	for i := range t.shards {
		s := &t.shards[i]
		s.Lock()
		for _, slot := range s.moved {
			s.marks[slot/64] &^= 1 << (slot % 64)
			if i := int(slot); s.taken(i) {
				j.append(func(b []byte) []byte { return enc(openFrame(b, t.id, s.slots[i].key), s, i) })
			}
		}
		s.moved = s.moved[:0]
		s.Unlock()
		if j.pendingBytes() > 1<<20 {
			j.files.Lock()
			j.write()
			j.files.Unlock()
		}
	}
}

func (j *journal) pendingBytes() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.buf)
}

// compact begins a new journal, writes a snapshot of everything and removes
// the journals before.
func (j *journal) compact() error {
	j.one.Lock()
	defer j.one.Unlock()
	j.files.Lock()
	j.write()
	next, err := createJournal(j.dir, j.number+1)
	if err != nil {
		j.files.Unlock()
		return err
	}
	j.f.Close()
	j.f, j.number, j.size = next, j.number+1, 0
	j.failed = false
	number := j.number
	j.files.Unlock()
	size, err := j.snapshot(number)
	if err != nil {
		j.sick.Store(true)
		return err
	}
	j.files.Lock()
	j.basis = size
	if !j.failed {
		j.sick.Store(false)
	}
	j.files.Unlock()
	return removeJournals(j.dir, number)
}

func createJournal(dir string, number uint64) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, journalName+strconv.FormatUint(number, 10)), os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	if _, err = f.Write(header(number)); err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// journals returns the numbers of the journals in dir, ascending.
func journals(dir string) ([]uint64, error) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var numbers []uint64
	for _, e := range list {
		if tail, ok := strings.CutPrefix(e.Name(), journalName); ok {
			if n, err := strconv.ParseUint(tail, 10, 64); err == nil {
				numbers = append(numbers, n)
			}
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

func removeJournals(dir string, before uint64) error {
	numbers, err := journals(dir)
	if err != nil {
		return err
	}
	for _, n := range numbers {
		if n < before {
			if err := os.Remove(filepath.Join(dir, journalName+strconv.FormatUint(n, 10))); err != nil {
				return err
			}
		}
	}
	return nil
}

func (j *journal) snapshot(number uint64) (int64, error) {
	path := filepath.Join(j.dir, snapshotName)
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	w := &snapshotWriter{w: bufio.NewWriterSize(f, 1<<20)}
	w.put(header(number))
	now := j.now()
	for _, t := range j.m.pools() {
		writeTable(w, t, appendCell, nil)
	}
	for _, t := range j.m.rates() {
		writeTable(w, t, appendRate, func(tat *int64) bool { return *tat <= now })
	}
	writeTable(w, j.m.lists, appendDevices, nil)
	w.frame(openFrame(w.b[:0], frameTime, uint64(now)))
	w.frame(openFrame(w.b[:0], frameEnd, w.n))
	if w.err == nil {
		w.err = w.w.Flush()
	}
	if w.err == nil {
		w.err = f.Sync()
	}
	if w.err == nil {
		w.err = os.Rename(path+".new", path)
	}
	if w.err == nil {
		w.err = syncDir(j.dir)
	}
	return w.size, w.err
}

type snapshotWriter struct {
	w    *bufio.Writer
	b    []byte
	n    uint64
	size int64
	err  error
}

func (w *snapshotWriter) put(b []byte) {
	if w.err == nil {
		_, w.err = w.w.Write(b)
		w.size += int64(len(b))
	}
}

func (w *snapshotWriter) frame(b []byte) {
	w.b = seal(b, 0)
	w.put(w.b)
	w.n++
}

func writeTable[R any](w *snapshotWriter, t *table[R], enc func([]byte, *shard[R], int) []byte, skip func(*R) bool) {
	for i := range t.shards {
		s := &t.shards[i]
		s.Lock()
		for i := range s.slots {
			if s.taken(i) && (skip == nil || !skip(&s.slots[i].rec)) {
				w.frame(enc(openFrame(w.b[:0], t.id, s.slots[i].key), s, i))
			}
		}
		s.Unlock()
	}
}

func (m *Memory) pools() []*table[cell] { return append(m.subjects[:], m.devices) }
func (m *Memory) rates() []*table[int64] {
	return append(slices.Clone(m.address[:]), m.pairs)
}

// OpenMemory returns the in-process store, with the state in c.Dir if there is
// any. rules are those it will be used with. clock is called once, before
// anything is decided, with the latest time the state has seen, in ms since
// 1970, and returns the clock that is written beside the state: a clock that
// began earlier would stretch the waits. Errors are those of the file system,
// and ErrDamaged.
func OpenMemory(c MemoryConfig, rules Rules, clock func(floor int64) func() int64, log *slog.Logger) (*Memory, error) {
	if err := rules.check(); err != nil {
		return nil, err
	}
	m, err := newMemory(c)
	if err != nil {
		return nil, err
	}
	if c.Dir == "" {
		clock(0)
		return m, nil
	}
	j := &journal{dir: c.Dir, log: log, m: m, stop: make(chan struct{})}
	if j.soft = c.Flush; j.soft == 0 {
		j.soft = 5 * time.Second
	}
	numbers := compile(&rules)
	path := filepath.Join(c.Dir, snapshotName)
	var first uint64
	var floor int64
	if f, err := os.Open(path); err == nil {
		first, floor, err = m.replay(f, true, &numbers)
		f.Close()
		if err != nil {
			return nil, err
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	found, err := journals(c.Dir)
	if err != nil {
		return nil, err
	}
	j.number = first
	for _, n := range found {
		if n < first {
			continue
		}
		f, err := os.Open(filepath.Join(c.Dir, journalName+strconv.FormatUint(n, 10)))
		if err != nil {
			return nil, err
		}
		_, at, err := m.replay(f, false, &numbers)
		f.Close()
		if err != nil {
			return nil, err
		}
		floor = max(floor, at)
		j.number = max(j.number, n)
	}
	if m.crowded > 0 {
		log.Error("throttle tables are too small for the kept state; locks were lost", "lanes", m.crowded)
	}
	// Starting with a snapshot of what was read keeps a torn tail from ever being appended to.
	j.number++
	if j.f, err = createJournal(c.Dir, j.number); err != nil {
		return nil, err
	}
	now := clock(floor)
	j.now = func() int64 { return max(floor, now()) }
	if j.basis, err = j.snapshot(j.number); err == nil {
		err = removeJournals(c.Dir, j.number)
	}
	if err != nil {
		j.f.Close()
		return nil, err
	}
	m.log = j
	j.done.Add(1)
	go j.run()
	return m, nil
}

// replay reads a snapshot or a journal into the tables. The tail of a journal
// that was being written at a crash is ignored; anything else that does not
// parse is ErrDamaged.
func (m *Memory) replay(f io.Reader, whole bool, n *compiled) (number uint64, last int64, err error) {
	damaged := func(what string) error { return fmt.Errorf("%w: %s", ErrDamaged, what) }
	r := bufio.NewReaderSize(f, 1<<20)
	head := make([]byte, headerSize)
	if _, err := io.ReadFull(r, head); err != nil {
		if !whole && (err == io.EOF || err == io.ErrUnexpectedEOF) {
			return 0, 0, nil
		}
		return 0, 0, damaged("no header")
	}
	number, ok := parseHeader(head)
	if !ok {
		return 0, 0, damaged("bad header")
	}
	for frames := uint64(0); ; frames++ {
		b, err := r.Peek(frameMost)
		if err != nil && err != io.EOF {
			return 0, 0, err
		}
		if len(b) == 0 && !whole {
			return number, last, nil
		}
		table, key, size, ok := m.restore(b, n, &last)
		switch {
		case !ok && whole:
			return 0, 0, damaged("bad frame in the snapshot")
		case !ok:
			return number, last, nil
		case table == frameEnd:
			if key != frames || len(b) > size {
				return 0, 0, damaged("snapshot cut or stretched")
			}
			return number, last, nil
		}
		if _, err := r.Discard(size); err != nil {
			return 0, 0, err
		}
	}
}

// restore applies the frame at the head of b.
func (m *Memory) restore(b []byte, n *compiled, last *int64) (table uint8, key uint64, size int, ok bool) {
	if len(b) < 9 {
		return 0, 0, 0, false
	}
	table, key = b[0], binary.LittleEndian.Uint64(b[1:])
	body := b[9:]
	rest := body
	var p pool
	var d devices
	var tat int64
	switch {
	case table == frameTime || table == frameEnd:
		ok = true
	case table < tableSubjects+uint8(channels) || table == tableDevices:
		p, rest, ok = parsePool(body)
	case table == tableLists:
		d, rest, ok = parseList(body)
	case table == tablePairs || table >= tableAddress && table < tableAddress+3:
		if ok = len(body) >= 8; ok {
			tat, rest = int64(binary.LittleEndian.Uint64(body)), body[8:]
		}
	}
	end := len(b) - len(rest)
	if !ok || len(rest) < 4 || binary.LittleEndian.Uint32(rest) != crc32.Checksum(b[:end], castagnoli) {
		return 0, 0, 0, false
	}
	fits := true
	switch {
	case table == frameTime:
		*last = max(*last, int64(key&maxTime))
	case table == frameEnd:
	case table < tableSubjects+uint8(channels):
		fits = restorePool(m.subjects[table], key, &p, func(q *pool) int64 { return n.unknown[table].debt(q, *last) })
	case table == tableDevices:
		fits = restorePool(m.devices, key, &p, func(q *pool) int64 { return n.known[Password].debt(q, *last) })
	case table == tableLists:
		fits = restoreRecord(m.lists, key, d, func(uint64, *devices) int64 { return 1 })
	case table == tablePairs:
		fits = restoreRecord(m.pairs, key, tat, func(_ uint64, t *int64) int64 { return *t })
	default:
		fits = restoreRecord(m.address[table-tableAddress], key, tat, func(_ uint64, t *int64) int64 { return *t })
	}
	if !fits {
		m.crowded++
	}
	return table, key, end + 4, true
}

// restoreRecord puts a record back. It reports whether there was room.
func restoreRecord[R comparable](t *table[R], key uint64, rec R, debt func(uint64, *R) int64) bool {
	s := t.shard(key)
	var zero R
	if rec == zero {
		if i := s.find(key); i >= 0 {
			s.free(i)
		}
		return true
	}
	i := s.place(key, debt, nil)
	if i >= 0 {
		s.slots[i].rec = rec
	}
	return i >= 0
}

// Close writes the state, if it is kept, and stops.
func (m *Memory) Close() error {
	j := m.log
	if j == nil {
		return nil
	}
	close(j.stop)
	j.done.Wait()
	j.flush()
	err := j.compact()
	j.files.Lock()
	defer j.files.Unlock()
	if err == nil {
		err = j.f.Sync()
	}
	return errors.Join(err, j.f.Close())
}

// Healthy reports whether the state can be kept on disk.
func (m *Memory) Healthy() bool { return m.log == nil || !m.log.sick.Load() }
