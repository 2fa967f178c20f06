// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package events

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Config says where a log is, and under which keys. Path, Checkpoint, Key and
// Sign are needed.
type Config struct {
	// Path is the file that lines are appended to. Older lines lie beside it,
	// in files with the first sequence number after the name.
	Path string
	// Checkpoint is the file of signed checkpoints, in a second place.
	Checkpoint string
	// Key binds the lines, 32 bytes.
	Key []byte
	// Sign signs the checkpoints.
	Sign ed25519.PrivateKey
	// Patience is how long Append waits for the disk. Default 1.8s.
	Patience time.Duration
	// CheckpointAfter is the longest time, and CheckpointEvery the most lines,
	// between a line and the checkpoint that covers it. Defaults 5s and 256.
	CheckpointAfter time.Duration
	CheckpointEvery int
	// SegmentBytes is about how long a file grows, and SegmentAge the time after
	// which the next begins: what is dropped are whole files. Defaults 64 MiB and
	// a day.
	SegmentBytes int64
	SegmentAge   time.Duration
	Now          func() time.Time

	// open replaces the opening of the file, for tests of failing disks.
	open func(path string) (file, error)
}

// file is what the log needs of its file.
type file interface {
	io.WriteCloser
	Sync() error
	Truncate(size int64) error
	Stat() (fs.FileInfo, error)
}

func openFile(path string) (file, error) {
	return openRegular(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND)
}

var errNoFile = errors.New("not a regular file")

// openRegular opens a file, and nothing else: a pipe or a device would block or
// swallow. Not even the opening waits, should one take the file's place between
// the look and it. The mode of a file that exists is not ours to widen.
func openRegular(path string, flag int) (*os.File, error) {
	if st, err := os.Lstat(path); err == nil && !st.Mode().IsRegular() {
		return nil, errNoFile
	}
	f, err := os.OpenFile(path, flag|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return nil, errors.Join(errNoFile, err, f.Close())
	}
	return f, nil
}

// openRead opens a file of the log, or of checkpoints, to read it.
func openRead(path string) (*os.File, error) { return openRegular(path, os.O_RDONLY) }

// ErrSink is returned by Append when the event could not be made durable in
// time. What it was to record must not happen.
var ErrSink = errors.New("the event log cannot be written")

// Log is an open event log. One process has it at a time; the caller sees to
// that.
type Log struct {
	c     Config
	queue chan *entry
	stop  chan struct{}
	done  chan struct{}

	// stuck is when the writing under way began, in Unix nanoseconds; 0 is none.
	stuck atomic.Int64
	state atomic.Pointer[state]
	lost  atomic.Uint64 // notes that found no place

	// Of the writing goroutine alone:
	f      file
	size   int64
	born   time.Time // of the first line of the file
	next   uint64    // sequence of the next line
	last   mac
	id     string
	unsure bool // the file's end is not known: look before the next write
	marked uint64
	link   string   // of the newest checkpoint
	kept   []*entry // notes of a write that failed

	// turning is held while the file changes its name.
	turning sync.RWMutex
}

// state is what others may see.
type state struct {
	head    uint64
	last    mac
	err     error // why the last write failed
	marked  uint64
	markErr error
	oldest  time.Time // of the first line that no checkpoint covers
}

type entry struct {
	e    Event
	done chan error // nil for a note
	// gone is set when nobody waits any more.
	gone atomic.Bool
}

const (
	queueLength = 4096
	maxBatch    = 256
	maxKept     = 4096
)

// Open opens a log or begins one. A last line that a crash cut short is
// dropped, and the log says so. When the end of the log is not where the last
// checkpoint saw it, or its last file does not hold together, lines are added
// behind it, and Verify keeps telling where it was broken.
func Open(c Config) (*Log, error) {
	if len(c.Key) == 0 || len(c.Sign) == 0 || c.Path == "" || c.Checkpoint == "" {
		panic("events: Config without keys or paths")
	}
	c.Patience = defaulted(c.Patience, 1800*time.Millisecond)
	c.CheckpointAfter = defaulted(c.CheckpointAfter, 5*time.Second)
	c.CheckpointEvery = defaulted(c.CheckpointEvery, 256)
	c.SegmentBytes = defaulted(c.SegmentBytes, 64<<20)
	c.SegmentAge = defaulted(c.SegmentAge, 24*time.Hour)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.open == nil {
		c.open = openFile
	}
	l := &Log{c: c, queue: make(chan *entry, queueLength), stop: make(chan struct{}), done: make(chan struct{})}
	first, err := l.begin()
	if err != nil {
		return nil, fmt.Errorf("event log: %w", err)
	}
	batch := make([]*entry, len(first))
	for i, e := range first {
		batch[i] = &entry{e: e}
	}
	if err := l.write(batch); err != nil {
		return nil, fmt.Errorf("event log: %w", errors.Join(err, l.f.Close()))
	}
	l.mark()
	if err := l.state.Load().markErr; err != nil {
		return nil, errors.Join(err, l.f.Close())
	}
	go l.run()
	return l, nil
}

func defaulted[T time.Duration | int | int64](v, d T) T {
	if v <= 0 {
		return d
	}
	return v
}

// begin finds the end of the log, and gives what is to be written of it.
func (l *Log) begin() (say []Event, err error) {
	public := l.c.Sign.Public().(ed25519.PublicKey)
	if err := thin(l.c.Checkpoint); err != nil {
		return nil, err
	}
	marks, _, markErr := readCheckpoints(l.c.Checkpoint, public)
	if l.link, err = lastLink(l.c.Checkpoint); err != nil {
		return nil, err
	}
	if markErr != nil && !errors.Is(markErr, errCheckpoint) {
		return nil, markErr
	}
	if len(marks) > 0 {
		l.id = marks[len(marks)-1].Log
	}
	end, err := l.tail()
	if err != nil {
		return nil, err
	}
	if l.f, err = l.c.open(l.c.Path); err != nil {
		return nil, err
	}
	l.size, l.born, l.next, l.last = end.size, end.born, end.seq+1, end.mac
	if end.torn > 0 {
		if err := l.f.Truncate(end.size); err != nil {
			return nil, errors.Join(err, l.f.Close())
		}
		say = append(say, l.event(typeMended, map[string]string{"bytes": strconv.FormatInt(end.torn, 10)}))
	}
	var why string
	switch newest := newestOf(marks); {
	case markErr != nil:
		why = markErr.Error()
	case end.why != "":
		why = end.why
	case end.seq < newest.Seq:
		why = whyCut
		l.next = newest.Seq + 1 // a sequence number never stands for two lines
	}
	if why != "" {
		say = append(say, l.event(typeBroken, map[string]string{"why": why}))
	}
	if l.next == 1 {
		var b [8]byte
		rand.Read(b[:])
		l.id, l.last = hex.EncodeToString(b[:]), genesis(l.c.Key)
		say = append(say, l.event(typeBegin, map[string]string{"log": l.id}))
	}
	l.marked = newestOf(marks).Seq
	return say, nil
}

func newestOf(marks []checkpoint) (c checkpoint) {
	for _, m := range marks {
		if m.Seq >= c.Seq {
			c = m
		}
	}
	return c
}

func (l *Log) event(typ string, params map[string]string) Event {
	return Event{Time: l.c.Now(), Type: typ, Actor: "server", Outcome: "OK", Params: params}
}

// end is what the end of a log looks like.
type end struct {
	size int64     // of the whole lines of the file
	born time.Time // of its first line
	seq  uint64
	mac  mac
	torn int64  // bytes behind them
	why  string // the file does not hold together
}

// tail reads the file from its beginning and finds its end. When it has no
// line, the newest older file has the last one.
func (l *Log) tail() (end, error) {
	segments, err := segments(l.c.Path)
	if err != nil {
		return end{}, err
	}
	var out end
	for i := len(segments) - 1; i >= 0; i-- {
		e, err := l.tailOf(segments[i])
		if err != nil {
			return end{}, err
		}
		if segments[i] == l.c.Path {
			out = e
		} else if out.seq == 0 {
			out.seq, out.mac = e.seq, e.mac
		}
		if out.seq > 0 {
			break
		}
	}
	return out, nil
}

func (l *Log) tailOf(path string) (out end, err error) {
	f, err := openRead(path)
	if err != nil {
		return end{}, err
	}
	defer f.Close()
	for r := bufio.NewReader(f); ; {
		line, ended, err := readLine(r)
		if err != nil {
			return end{}, err
		}
		if !ended {
			out.torn = int64(len(line))
			return out, nil
		}
		out.size += int64(len(line)) + 1
		e, body, m, err := parseLine(line)
		switch {
		case err != nil:
			out.why = whyLine
		case out.seq > 0 && (e.Sequence <= out.seq || chain(l.c.Key, out.mac, body) != m):
			out.why = whyChain
		}
		if err == nil && out.born.IsZero() {
			out.born = e.Time
		}
		if err == nil && e.Sequence >= out.seq {
			out.seq, out.mac = e.Sequence, m
		}
	}
}

// readLine gives a line without its end, and whether it had one. At the end of
// the file it gives an empty line without one.
func readLine(r *bufio.Reader) (line []byte, ended bool, err error) {
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return line[:len(line)-1], true, nil
		case errors.Is(err, io.EOF):
			return line, false, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, false, err
		}
		if len(line) > maxLine {
			return nil, false, errLine
		}
	}
}

// segments gives the files of a log, oldest first.
func segments(path string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []string
	current := false
	for _, e := range entries {
		if _, ok := firstOf(path, e.Name()); ok {
			out = append(out, filepath.Join(filepath.Dir(path), e.Name()))
		}
		current = current || e.Name() == filepath.Base(path)
	}
	slices.Sort(out)
	if current {
		out = append(out, path)
	}
	return out, nil
}

const segmentDigits = 20

// firstOf tells whether a name is that of an older file, and its first
// sequence.
func firstOf(path, name string) (uint64, bool) {
	base := filepath.Base(path) + "."
	if len(name) != len(base)+segmentDigits || name[:len(base)] != base {
		return 0, false
	}
	n, err := strconv.ParseUint(name[len(base):], 10, 64)
	return n, err == nil
}

// Append writes an event and waits until it is durable. It returns ErrSink
// when that fails or takes longer than Patience; what it was to record must
// then not happen.
func (l *Log) Append(ctx context.Context, e Event) error {
	e.check()
	if since := l.stuck.Load(); since > 0 && time.Since(time.Unix(0, since)) > l.c.Patience {
		return ErrSink
	}
	x := &entry{e: e, done: make(chan error, 1)}
	t := time.NewTimer(l.c.Patience)
	defer t.Stop()
	select {
	case <-l.stop:
		return ErrSink
	default:
	}
	select {
	case l.queue <- x:
	case <-t.C:
		return ErrSink
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-x.done:
		return err
	case <-l.done:
		select {
		case err := <-x.done: // written before the end
			return err
		default:
			return ErrSink
		}
	case <-t.C:
		x.gone.Store(true)
		return ErrSink
	case <-ctx.Done():
		x.gone.Store(true)
		return ctx.Err()
	}
}

// Note writes an event some time soon, in order with the others, and does not
// wait. What finds no place is counted.
func (l *Log) Note(e Event) {
	e.check()
	select {
	case l.queue <- &entry{e: e}:
	default:
		l.lost.Add(1)
	}
}

// Status is the state of a log, for those who watch it.
type Status struct {
	// Head is the sequence of the newest line.
	Head uint64
	// Err is why the last write failed; nil after a write that went well.
	Err error
	// CheckpointErr is why the newest checkpoint could not be written.
	CheckpointErr error
	// Uncovered is the time of the oldest line that no checkpoint covers.
	Uncovered time.Time
	// Lost counts notes that found no place.
	Lost uint64
}

// Status tells how the log fares.
func (l *Log) Status() Status {
	s := *l.state.Load()
	if since := l.stuck.Load(); s.err == nil && since > 0 && time.Since(time.Unix(0, since)) > l.c.Patience {
		s.err = errStuck
	}
	return Status{Head: s.head, Err: s.err, CheckpointErr: s.markErr, Uncovered: s.oldest, Lost: l.lost.Load()}
}

var errStuck = errors.New("the disk does not answer")

// Close writes what waits, sets a last checkpoint and closes the file. It waits
// for a disk that does not answer at most until ctx ends.
func (l *Log) Close(ctx context.Context) error {
	close(l.stop)
	select {
	case <-l.done:
		return l.state.Load().err
	case <-ctx.Done():
		return errors.Join(ErrSink, ctx.Err())
	}
}

// run is the only writer.
func (l *Log) run() {
	defer close(l.done)
	tick := time.NewTicker(l.c.CheckpointAfter / 2)
	defer tick.Stop()
	for {
		select {
		case x := <-l.queue:
			l.take(x)
		case <-tick.C:
			if len(l.kept) > 0 {
				l.take(nil)
			}
			if s := l.state.Load(); s.head > l.marked && l.c.Now().Sub(s.oldest) >= l.c.CheckpointAfter/2 {
				l.mark()
			}
		case <-l.stop:
			for {
				select {
				case x := <-l.queue:
					l.take(x)
					continue
				default:
				}
				break
			}
			if len(l.kept) > 0 {
				l.take(nil)
			}
			if l.state.Load().head > l.marked {
				l.mark()
			}
			if err := l.f.Close(); err != nil {
				s := *l.state.Load()
				s.err = err
				l.state.Store(&s)
			}
			return
		}
	}
}

// take writes one entry, if there is one, and those that wait behind it with
// one sync. Notes that could not be written come again with the next batch.
func (l *Log) take(x *entry) {
	batch := l.kept
	l.kept = nil
	if x != nil {
		batch = append(batch, x)
	}
	for len(batch) < maxBatch {
		select {
		case x := <-l.queue:
			batch = append(batch, x)
			continue
		default:
		}
		break
	}
	batch = slices.DeleteFunc(batch, func(x *entry) bool { return x.gone.Load() })
	l.stuck.Store(time.Now().UnixNano())
	err := l.write(batch)
	l.stuck.Store(0)
	for _, x := range batch {
		switch {
		case x.done != nil && err != nil:
			x.done <- ErrSink
		case x.done != nil:
			x.done <- nil
		case err != nil && len(l.kept) < maxKept:
			l.kept = append(l.kept, x)
		case err != nil:
			l.lost.Add(1)
		}
	}
	if l.state.Load().head-l.marked >= uint64(l.c.CheckpointEvery) {
		l.mark()
	}
}

// write appends the events of a batch. After an error nothing of them counts.
func (l *Log) write(batch []*entry) (err error) {
	old := l.state.Load()
	if old == nil {
		old = &state{head: l.next - 1, last: l.last, marked: l.marked}
		l.state.Store(old)
	}
	if len(batch) == 0 {
		return nil
	}
	defer func() {
		if err != nil {
			l.unsure = true
			s := *old
			s.err = err
			l.state.Store(&s)
		}
	}()
	if err := l.steady(); err != nil {
		return err
	}
	if l.size >= l.c.SegmentBytes || l.size > 0 && l.c.Now().Sub(l.born) >= l.c.SegmentAge {
		if err := l.turn(); err != nil {
			return err
		}
	}
	if l.size == 0 {
		l.born = l.c.Now()
	}
	var b []byte
	next, last := l.next, l.last
	for _, x := range batch {
		x.e.Sequence = next
		if b, last, err = appendLine(b, l.c.Key, last, x.e); err != nil {
			return err
		}
		next++
	}
	if _, err := l.f.Write(b); err != nil {
		return err
	}
	if err := l.f.Sync(); err != nil {
		return err
	}
	l.next, l.last, l.size = next, last, l.size+int64(len(b))
	s := &state{head: next - 1, last: last, marked: old.marked, markErr: old.markErr, oldest: old.oldest}
	if old.head <= l.marked || old.oldest.IsZero() {
		s.oldest = l.c.Now()
	}
	l.state.Store(s)
	return nil
}

// errMoved is returned when the file is not the one at its path any more.
var errMoved = errors.New("the file was moved, replaced or removed while the server ran")

// steady makes sure that the file is there and ends where the last acknowledged
// line ends. After a failed sync nobody knows what the old handle will still
// write, so the file is opened again.
func (l *Log) steady() error {
	open, err := l.f.Stat()
	if err != nil && !l.unsure {
		return err
	}
	if err == nil {
		at, err := os.Lstat(l.c.Path)
		if err != nil || !os.SameFile(open, at) {
			return errMoved
		}
	}
	if !l.unsure {
		return nil
	}
	if err := l.f.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	f, err := l.c.open(l.c.Path)
	if err != nil {
		return err
	}
	l.f = f
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if st.Size() < l.size {
		return errMoved
	}
	if err := f.Truncate(l.size); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	l.unsure = false
	return nil
}

// turn moves the full file aside and begins the next.
func (l *Log) turn() error {
	st, err := openRead(l.c.Path)
	if err != nil {
		return err
	}
	line, _, err := readLine(bufio.NewReader(st))
	st.Close() // only read
	if err != nil {
		return err
	}
	first, _, _, err := parseLine(line)
	if err != nil {
		return err
	}
	l.turning.Lock()
	defer l.turning.Unlock()
	aside := fmt.Sprintf("%s.%0*d", l.c.Path, segmentDigits, first.Sequence)
	if err := os.Rename(l.c.Path, aside); err != nil {
		return err
	}
	f, err := l.c.open(l.c.Path)
	if err != nil {
		return errors.Join(err, os.Rename(aside, l.c.Path))
	}
	if err := l.f.Close(); err != nil {
		return err
	}
	l.f, l.size = f, 0
	return syncDir(filepath.Dir(l.c.Path))
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// mark writes a checkpoint of the newest line. A second place that does not
// answer is a disk that does not.
func (l *Log) mark() {
	l.stuck.Store(time.Now().UnixNano())
	defer l.stuck.Store(0)
	s := *l.state.Load()
	link, err := l.link, error(nil)
	if s.markErr != nil { // nobody knows whether the last one is there
		link, err = lastLink(l.c.Checkpoint)
	}
	if err == nil {
		link, err = writeCheckpoint(l.c.Checkpoint, checkpoint{Log: l.id, Seq: s.head, Time: l.c.Now(), Mac: s.last.String(), Link: link}, l.c.Sign)
	}
	if s.markErr = err; err == nil {
		l.link = link
		l.marked = s.head
		s.marked = s.head
		s.oldest = time.Time{}
	}
	l.state.Store(&s)
}
