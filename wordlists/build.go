// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build !wasip1

package wordlists

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/watchword-project/watchword/wordlists/internal/whole"
)

// From says what the input of a build is.
type From string

const (
	// FromHashes is one file of HASH:COUNT lines in strictly ascending order,
	// as the official downloader writes; counts may be absent throughout.
	FromHashes From = "hashes"
	// FromRanges is a folder of range files of SUFFIX:COUNT lines, XXXXX.txt or
	// XXXXX, each of which may be a gzip stream and end in .gz.
	FromRanges From = "ranges"
	// FromWords is a list of passwords, one to a line, in any order. A word's
	// count is the number of its lines.
	FromWords From = "words"
)

// BuildOptions describe one build. In (or Reader) and Out are needed; the zero
// value of everything else is a sensible default.
type BuildOptions struct {
	// In is the input file, or folder for FromRanges. A file may be a gzip
	// stream. Leave it empty and set Reader to build from a stream.
	In     string
	Reader io.Reader
	// Out is the index to write. It appears, complete, under this name only at
	// the end; meanwhile the work is in Out + ".partial". A build of hashes or
	// ranges that was interrupted goes on when it is run again with the same
	// options: up to the first segment whose input changed since.
	Out string
	// Kind is SHA1 unless said otherwise.
	Kind Kind
	// From is FromHashes unless said otherwise.
	From From
	// Full keeps whole hashes, which range answers and exports need, at 13
	// bytes an entry (9 for NTLM).
	Full bool
	// Partial lifts the completeness gates of hashes and ranges: every
	// five-digit prefix present, no prefix fuller or emptier than chance
	// allows, and the best-known passwords listed. They never apply to words.
	// Order and syntax are checked regardless.
	Partial bool
	// Name is recorded in the file: [a-z0-9][a-z0-9._-]{0,63}. Empty means the
	// base name of Out without its extension, if that is such a name.
	Name string
	// Workers is the number of segments packed at once; 0 means one for each
	// processor. Each takes at most 64 MiB for a corpus of up to four billion
	// hashes.
	Workers int
	// MaxInflated bounds what a gzip stream may inflate to, in bytes. 0 means
	// 64 MiB and twenty times its compressed size.
	MaxInflated int64
	// Now gives the time that is recorded and that progress is measured by;
	// nil means time.Now.
	Now func() time.Time
	// Progress, if set, is called about once a second and at the end, from one
	// goroutine at a time.
	Progress func(Progress)
}

// Progress tells how far a build is.
type Progress struct {
	Segments int    // finished, of 4,096
	Entries  uint64 // packed so far
	Read     int64  // input bytes read so far, in this run
	Total    int64  // input bytes, 0 when unknown
	Elapsed  time.Duration
	Rate     float64       // entries a second
	ETA      time.Duration // 0 while unknown
}

// BuildResult describes a finished build.
type BuildResult struct {
	Info    Info
	Skipped int64 // words without an NTLM hash because they are not UTF-8
	Resumed int   // segments taken over from an interrupted build
}

var validName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// ValidName reports whether a corpus may be called so: it must be safe as a
// file name everywhere, so [a-z0-9][a-z0-9._-]{0,63} and nothing else.
func ValidName(name string) bool { return validName.MatchString(name) }

func (o *BuildOptions) defaults() error {
	if o.Kind == 0 {
		o.Kind = SHA1
	}
	if o.Kind.Size() == 0 {
		return ErrKind
	}
	if o.From == "" {
		o.From = FromHashes
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Name == "" {
		base := filepath.Base(o.Out)
		o.Name = base[:len(base)-len(filepath.Ext(base))]
		if !ValidName(o.Name) {
			o.Name = "corpus"
		}
	}
	if !ValidName(o.Name) {
		return errors.New("wordlists: name is not of the form [a-z0-9][a-z0-9._-]{0,63}")
	}
	if o.Out == "" || (o.In == "") == (o.Reader == nil) {
		return errors.New("wordlists: Build needs Out and one of In and Reader")
	}
	return nil
}

// Build writes an index. On success the file is complete, on disk and under
// its name; on failure nothing has changed under that name.
func Build(ctx context.Context, opts BuildOptions) (*BuildResult, error) {
	if err := opts.defaults(); err != nil {
		return nil, err
	}
	res, err := buildFrom(ctx, &opts, false)
	if errors.Is(err, errNotBisectable) {
		res, err = buildFrom(ctx, &opts, true)
	}
	return res, err
}

func buildFrom(ctx context.Context, opts *BuildOptions, inOneGo bool) (*BuildResult, error) {
	run := &assembly{opts: opts, res: &BuildResult{}}
	src, closeSource, err := run.source(ctx, inOneGo)
	if err != nil {
		return nil, err
	}
	defer closeSource()
	return run.build(ctx, src)
}

// source opens the input as the options describe it.
func (a *assembly) source(ctx context.Context, inOneGo bool) (source, func(), error) {
	o := a.opts
	a.start = o.Now()
	if o.From == FromRanges {
		if o.In == "" {
			return nil, nil, errors.New("wordlists: ranges are read from a folder")
		}
		s, err := newRangeSource(o.In, o.Kind, o.Partial)
		if err != nil {
			return nil, nil, err
		}
		return s, func() { s.dir.Close() }, nil
	}
	if o.From != FromHashes && o.From != FromWords {
		return nil, nil, errors.New("wordlists: From is none of hashes, ranges, words")
	}
	var (
		r          io.Reader
		bisectable bool
		name       string
		length     int64
		done       = func() {}
	)
	if o.In != "" {
		in, f, plain, err := openInput(o.In, o.MaxInflated)
		if err != nil {
			return nil, nil, err
		}
		r, bisectable, name, done = in, plain, filepath.Base(o.In), func() { f.Close() }
		if st, err := f.Stat(); err == nil && plain {
			length = st.Size()
		}
		if bisectable && o.From == FromHashes && !inOneGo {
			s, err := newFileSource(f, o.Kind)
			if err != nil {
				done()
				return nil, nil, err
			}
			return s, done, nil
		}
	} else {
		var err error
		if r, _, err = maybeInflate(bufio.NewReaderSize(o.Reader, readSize), o.MaxInflated, ""); err != nil {
			return nil, nil, err
		}
	}
	if o.From == FromHashes {
		return newStreamSource(r, o.Kind, name, length), done, nil
	}
	temp, err := os.CreateTemp(filepath.Dir(o.Out), filepath.Base(o.Out)+".runs-*")
	if err != nil {
		done()
		return nil, nil, err
	}
	closeAll := func() {
		done()
		temp.Close()
		os.Remove(temp.Name())
	}
	a.total = length
	s, skipped, err := newRunSource(ctx, r, o.Kind, temp, o.Workers, name, &a.read)
	if err != nil {
		closeAll()
		return nil, nil, err
	}
	a.res.Skipped = skipped
	return s, closeAll, nil
}

// worker is what one goroutine of a build keeps from segment to segment.
type worker struct {
	b       *builder
	sample  sample
	lines   *lineReader
	read    *atomic.Int64
	peek    *bufio.Reader // recognises a compressed range
	records []byte
	order   []wordRecord

	// Set by a source that brings a segment along as it is.
	copied *segmentHeader
	raw    []byte
	// Set by a source whose entries fit one line count only.
	homes uint64
}

// pack lays out what the source gave.
func (w *worker) pack(id int) (tableEntry, []byte, *segmentHeader, error) {
	switch {
	case w.copied != nil:
		return w.copied.row, w.raw, w.copied, nil
	case w.homes != 0 && len(w.b.pos) > 0:
		if !w.b.packExactly(uint16(id), w.homes) {
			return tableEntry{}, nil, nil, errNeedsSegment
		}
		return w.b.hdr.row, w.b.out, &w.b.hdr, nil
	}
	row, data := w.b.pack(uint16(id))
	return row, data, &w.b.hdr, nil
}

func (w *worker) reset() {
	w.b.reset()
	w.sample.reset()
	w.copied, w.homes = nil, 0
}

// sample keeps the sixteen entries with the smallest scrambled heads: an even
// choice over the whole list that does not depend on how it was cut up.
type sample struct {
	canaries []Canary
	above    uint64 // scrambled heads from here on are of no interest; 0 for none
}

func (s *sample) offer(key *Key, count uint32) {
	if s.above != 0 && scramble(key) >= s.above {
		return
	}
	s.insert(Canary{*key, count})
}

func (s *sample) reset() { s.canaries, s.above = s.canaries[:0], 0 }

func (s *sample) insert(c Canary) {
	at, _ := slices.BinarySearchFunc(s.canaries, c, func(a, b Canary) int {
		if scramble(&a.Key) < scramble(&b.Key) {
			return -1
		}
		return 1
	})
	if len(s.canaries) == maxCanaries {
		if at == maxCanaries {
			return
		}
		s.canaries = s.canaries[:maxCanaries-1]
	}
	s.canaries = slices.Insert(s.canaries, at, c)
	if len(s.canaries) == maxCanaries {
		s.above = scramble(&s.canaries[maxCanaries-1].Key)
	}
}

func scramble(key *Key) uint64 {
	v := key.head() * mix0
	return (v ^ v>>29) * mix1
}

// assembly is one file being put together, segment after segment.
type assembly struct {
	opts  *BuildOptions
	res   *BuildResult
	start time.Time
	read  atomic.Int64
	total int64

	mu       sync.Mutex // held to take the next segment
	next     int
	wmu      sync.Mutex // held to write
	turn     *sync.Cond
	writing  int // segment whose turn it is
	failed   error
	f        *os.File
	log      *os.File
	at       uint64
	table    []byte
	header   fileHeader
	maxAt    uint32
	minAt    uint32
	canaries sample
	told     time.Time
	renamed  bool
	check    func(*Index) error // further conditions on the new index
	keep     bool               // keep what the new index replaces
	first    uint64             // entries taken over from an interrupted build
}

// build packs all segments of src into the partial file and commits it.
func (a *assembly) build(ctx context.Context, src source) (res *BuildResult, err error) {
	o := a.opts
	a.turn = sync.NewCond(&a.wmu)
	a.table = make([]byte, tableSize)
	a.at = dataStart
	a.header = fileHeader{kind: o.Kind, name: o.Name, minRange: math.MaxUint32}
	if o.Full {
		a.header.flags |= flagFull
	}
	if o.Partial {
		a.header.flags |= flagPartial
	}
	if o.From == FromWords {
		a.header.flags |= flagWords
	}
	a.total = max(a.total, src.size())
	if err := a.openPartial(src); err != nil {
		return nil, err
	}
	// An interruption, a full disk or a gate that Partial lifts leaves the work
	// to be taken up again; wrong input does not.
	defer func() {
		var wrong *InputError
		keep := src.identity() != "" && err != nil &&
			(!errors.As(err, &wrong) || errors.Is(err, ErrIncomplete))
		a.closePartial(keep)
	}()

	var wg sync.WaitGroup
	for range o.Workers {
		wg.Go(func() { a.work(ctx, src) })
	}
	wg.Wait()
	if a.failed != nil {
		return nil, a.failed
	}
	if err := a.gates(); err != nil {
		return nil, err
	}
	if err := a.commit(); err != nil {
		return nil, err
	}
	a.tell(true)
	return a.res, nil
}

func (a *assembly) work(ctx context.Context, src source) {
	w := &worker{b: newBuilder(a.opts.Kind, a.opts.Full), read: &a.read, lines: newLineReader(nil, readSize, maxHashLine)}
	for {
		a.mu.Lock()
		id := a.next
		if id >= segmentCount {
			a.mu.Unlock()
			return
		}
		a.next++
		if !src.sequential() {
			a.mu.Unlock()
		}
		w.reset()
		done := packed{id: id}
		done.state, done.resumable = src.state(id)
		err := ctx.Err()
		if err == nil {
			err = src.segment(ctx, id, w)
		}
		if src.sequential() {
			a.mu.Unlock()
		}
		if err == nil {
			done.row, done.data, done.header, err = w.pack(id)
		}
		done.canaries = w.sample.canaries
		if !a.finish(&done, err) {
			return
		}
	}
}

// packed is a segment ready to be written.
type packed struct {
	id        int
	row       tableEntry
	data      []byte
	header    *segmentHeader
	canaries  []Canary
	state     string // of the source, from before it was read
	resumable bool
}

// finish writes a segment when its turn comes. Segments lie in the file in
// order, so that equal input gives equal files whatever the number of workers.
func (a *assembly) finish(p *packed, err error) bool {
	a.wmu.Lock()
	defer a.wmu.Unlock()
	defer a.turn.Broadcast()
	for a.writing != p.id && a.failed == nil {
		a.turn.Wait()
	}
	if a.failed != nil {
		return false
	}
	if err == nil {
		err = a.append(p)
	}
	if err != nil {
		a.failed = err
		return false
	}
	a.writing = p.id + 1
	a.tell(false)
	return true
}

// append adds a packed segment to the partial file.
func (a *assembly) append(p *packed) error {
	for _, c := range p.canaries {
		a.canaries.insert(c)
	}
	if p.row.layout == layoutEmpty {
		p.header = &segmentHeader{}
	} else {
		p.row.offset = a.at
		if _, err := a.f.WriteAt(p.data, int64(a.at)); err != nil {
			return err
		}
		a.at += uint64(len(p.data))
	}
	a.count(p.id, p.row, p.header)
	return a.logSegment(p)
}

// count enters a segment into the table and the totals.
func (a *assembly) count(id int, row tableEntry, h *segmentHeader) {
	row.put(a.table[id*tableEntrySize:])
	a.header.entries += uint64(row.entries)
	a.header.sum += h.sum
	if h.maxRange > a.header.maxRange {
		a.header.maxRange, a.maxAt = h.maxRange, uint32(id*perSegment)+uint32(h.maxAt)
	}
	if h.minRange < a.header.minRange {
		a.header.minRange, a.minAt = h.minRange, uint32(id*perSegment)+uint32(h.minAt)
	}
}

// tell reports progress, at most once a second unless it is the last report.
func (a *assembly) tell(last bool) {
	if a.opts.Progress == nil {
		return
	}
	now := a.opts.Now()
	if !last && now.Sub(a.told) < time.Second {
		return
	}
	a.told = now
	p := Progress{
		Segments: a.writing, Entries: a.header.entries,
		Read: a.read.Load(), Total: a.total, Elapsed: now.Sub(a.start),
	}
	if s := p.Elapsed.Seconds(); s > 0 {
		p.Rate = float64(p.Entries-a.first) / s
	}
	if done := a.writing - a.res.Resumed; done > 0 {
		p.ETA = time.Duration(float64(p.Elapsed) / float64(done) * float64(segmentCount-a.writing))
	}
	a.opts.Progress(p)
}

// wellKnown are members of every published corpus.
var wellKnown = []string{"123456", "123456789", "password", "qwerty"}

// gates refuse input that parses but cannot be a complete corpus: the most
// common failure in the field is a half download that calls every password
// safe.
func (a *assembly) gates() error {
	if a.header.entries == 0 {
		return &InputError{Err: ErrEmpty}
	}
	if a.opts.Partial || a.opts.From == FromWords {
		return nil
	}
	return checkSpread(&a.header, a.minAt, a.maxAt)
}

// checkSpread compares the fullest and the emptiest prefix with what chance
// allows: eight standard deviations of a Poisson law, which a million prefixes
// exceed once in about a billion lists.
func checkSpread(h *fileHeader, minAt, maxAt uint32) error {
	if h.minRange == 0 {
		return &InputError{Err: ErrIncomplete, Reason: fmt.Sprintf("prefix %05X has no entries", minAt)}
	}
	mean := float64(h.entries) / prefixCount
	slack := 8*math.Sqrt(mean) + 8
	if float64(h.minRange) < mean-slack {
		return &InputError{Err: ErrIncomplete, Reason: fmt.Sprintf("prefix %05X has too few entries for the whole", minAt)}
	}
	if float64(h.maxRange) > mean+slack {
		return &InputError{Err: ErrIncomplete, Reason: fmt.Sprintf("prefix %05X has too many entries for the whole", maxAt)}
	}
	return nil
}

// commit writes the frame, proves that the file opens and answers, and gives
// it its name. Data reaches the disk before the footer that vouches for it.
func (a *assembly) commit() error {
	partial := a.f.Name()
	if err := a.seal(); err != nil {
		return err
	}
	x, err := open(partial, Options{})
	if err != nil {
		return fmt.Errorf("opening what was built: %w", err)
	}
	err = a.accept(x)
	a.res.Info = x.Info()
	if err = errors.Join(err, x.Close()); err != nil {
		return err
	}
	if a.keep {
		if err := keepPrevious(a.opts.Out); err != nil {
			return err
		}
	}
	if err := os.Rename(partial, a.opts.Out); err != nil {
		return err
	}
	a.renamed = true
	return whole.SyncDir(filepath.Dir(a.opts.Out))
}

func (a *assembly) accept(x *Index) error {
	if err := x.CheckCanaries(); err != nil {
		return err
	}
	if a.check != nil {
		if err := a.check(x); err != nil {
			return err
		}
	}
	if a.opts.Partial || a.opts.From == FromWords {
		return nil
	}
	for _, word := range wellKnown {
		if found, err := x.Contains(x.kind.Key([]byte(word))); err != nil {
			return err
		} else if !found {
			return &InputError{Err: ErrIncomplete, Reason: "a password that every corpus lists is missing"}
		}
	}
	return nil
}

// seal writes header, table and footer.
func (a *assembly) seal() error {
	size := a.at + footerSize
	a.header.built = a.opts.Now().UTC().Truncate(time.Second)
	a.header.size = size
	a.header.canaries = a.canaries.canaries
	var page [fileHeaderSize]byte
	a.header.put(page[:])
	var foot [footerSize]byte
	putFooter(foot[:], page[:], a.table, size)
	if _, err := a.f.WriteAt(page[:], 0); err != nil {
		return err
	}
	if _, err := a.f.WriteAt(a.table, fileHeaderSize); err != nil {
		return err
	}
	if err := a.f.Truncate(int64(a.at)); err != nil {
		return err
	}
	if err := a.f.Sync(); err != nil {
		return err
	}
	if _, err := a.f.WriteAt(foot[:], int64(a.at)); err != nil {
		return err
	}
	if err := a.f.Sync(); err != nil {
		return err
	}
	forget(a.f)
	return nil
}

// The log beside a partial file: a line of identity, then one line a segment.
type logLine struct {
	Build    string      `json:"build,omitempty"`
	Segment  int         `json:"segment"`
	Offset   uint64      `json:"offset,omitempty"`
	State    string      `json:"state,omitempty"`
	Again    bool        `json:"again,omitempty"` // not to be taken over
	Canaries []logCanary `json:"canaries,omitempty"`
}

type logCanary struct {
	Key   string `json:"key"`
	Count uint32 `json:"count"`
}

func (a *assembly) partialPath() string { return a.opts.Out + ".partial" }
func (a *assembly) logPath() string     { return a.partialPath() + ".log" }

// openPartial opens the partial file and takes over what an interrupted build
// of the same input left there.
func (a *assembly) openPartial(src source) (err error) {
	if a.f, err = os.OpenFile(a.partialPath(), os.O_RDWR|os.O_CREATE, 0o644); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			a.f.Close()
		}
	}()
	if err = lockFile(a.f); err != nil {
		return fmt.Errorf("another build is writing this index: %w", err)
	}
	ident := ""
	var taken []logLine
	identity := src.identity()
	if identity != "" {
		ident = fmt.Sprintf("v%d %s %s full=%t %s", formatVersion, a.opts.Kind, a.opts.From, a.opts.Full, identity)
		if taken, err = a.takeOver(ident, src); err != nil {
			return err
		}
	}
	if a.writing == 0 {
		if err := a.f.Truncate(0); err != nil {
			return err
		}
	}
	if identity == "" {
		os.Remove(a.logPath())
		return nil
	}
	// The log is written anew, to drop lines that no longer count.
	if a.log, err = os.Create(a.logPath()); err != nil {
		return err
	}
	for _, l := range append([]logLine{{Build: ident}}, taken...) {
		if err := a.writeLog(l); err != nil {
			return err
		}
	}
	return nil
}

// takeOver reads the log of an interrupted build and checks each segment it
// names against the source as it is now and against its checksums; the first
// that fails ends the taking over.
func (a *assembly) takeOver(ident string, src source) (taken []logLine, err error) {
	f, err := os.Open(a.logPath())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	var line logLine
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &line) != nil || line.Build != ident {
		return nil, nil
	}
	for lines.Scan() {
		line = logLine{}
		if json.Unmarshal(lines.Bytes(), &line) != nil || line.Segment != a.writing || line.Segment >= segmentCount || line.Again {
			break
		}
		if state, ok := src.state(line.Segment); !ok || state != line.State {
			break
		}
		var row tableEntry
		h := new(segmentHeader)
		if line.Offset != a.at {
			var end uint64
			h, end = a.readSegment(a.at)
			if h == nil || int(h.id) != line.Segment || end != line.Offset {
				break
			}
			row = h.row
			row.offset = a.at
		}
		a.at = line.Offset
		a.count(line.Segment, row, h)
		a.writing++
		taken = append(taken, line)
	}
	if a.writing > 0 {
		for _, c := range taken[a.writing-1].canaries() {
			a.canaries.insert(c)
		}
	}
	a.first = a.header.entries
	a.next, a.res.Resumed = a.writing, a.writing
	return taken, nil
}

func (l *logLine) canaries() (list []Canary) {
	for _, c := range l.Canaries {
		var key Key
		if n, err := hex.Decode(key[:], []byte(c.Key)); err == nil && n == len(key) {
			list = append(list, Canary{key, c.Count})
		}
	}
	return list
}

// readSegment checks the segment at an offset of the partial file.
func (a *assembly) readSegment(at uint64) (*segmentHeader, uint64) {
	var head [segmentHeaderSize]byte
	if _, err := a.f.ReadAt(head[:], int64(at)); err != nil {
		return nil, 0
	}
	h := new(segmentHeader)
	if !h.get(head[:]) || h.kind != a.opts.Kind {
		return nil, 0
	}
	row := h.row
	row.offset = at
	if !row.valid(h.kind, a.opts.Full, math.MaxInt64) {
		return nil, 0
	}
	sec := row.sections(h.kind)
	b := make([]byte, sec.end)
	if _, err := a.f.ReadAt(b, int64(at)); err != nil {
		return nil, 0
	}
	if !segmentSums(h, sec, b) {
		return nil, 0
	}
	return h, at + sec.end
}

// segmentSums checks the sections of a segment against its header.
func segmentSums(h *segmentHeader, sec sections, b []byte) bool {
	if h.row.layout == layoutPlain {
		return crcOf(b[sec.lines:]) == h.crcLines
	}
	return crcOf(b[sec.lines:sec.dir]) == h.crcLines && crcOf(b[sec.dir:sec.exc]) == h.crcDir &&
		crcOf(b[sec.exc:sec.tailCRC]) == h.crcExc && crcOf(b[sec.tailCRC:]) == h.crcTail
}

func (a *assembly) logSegment(p *packed) error {
	if a.log == nil {
		return nil
	}
	l := logLine{Segment: p.id, Offset: a.at, State: p.state, Again: !p.resumable}
	for _, c := range a.canaries.canaries {
		l.Canaries = append(l.Canaries, logCanary{hex.EncodeToString(c.Key[:]), c.Count})
	}
	return a.writeLog(l)
}

func (a *assembly) writeLog(l logLine) error {
	b, err := json.Marshal(l)
	if err != nil {
		return err
	}
	_, err = a.log.Write(append(b, '\n'))
	return err
}

// closePartial removes the partial file, unless it was renamed or is kept for
// the next attempt.
func (a *assembly) closePartial(keep bool) {
	if a.log != nil {
		a.log.Close()
	}
	if keep {
		a.f.Close()
		return
	}
	os.Remove(a.logPath())
	if !a.renamed {
		os.Remove(a.partialPath())
	}
	a.f.Close()
}
