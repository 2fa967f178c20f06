// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build !wasip1

package wordlists

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// FetchOptions describe a download of ranges. BaseURL and Dir are needed.
type FetchOptions struct {
	// BaseURL is the service, as in https://api.pwnedpasswords.com; ranges are
	// got from BaseURL/range/XXXXX.
	BaseURL string
	// Dir takes the range files. It is made if it is not there.
	Dir string
	// Kind is SHA1 unless said otherwise.
	Kind Kind
	// Parallel is the number of requests under way at once; 0 means 32.
	Parallel int
	// Client makes the requests; nil means one with this package's time limits.
	Client *http.Client
	// Force gets every range anew, whatever is at hand.
	Force bool
	// Prefixes limits the download; empty means all 1,048,576.
	Prefixes []uint32
	// Attempts is how often one range is tried; 0 means 8.
	Attempts int
	// BackOff is the wait after a first failure, doubled after each further
	// one up to a minute; 0 means half a second. A server's Retry-After counts
	// when it is longer, up to five minutes.
	BackOff time.Duration
	// UserAgent names the caller; empty means "watchword".
	UserAgent string
	// Now gives the time; nil means time.Now.
	Now func() time.Time
	// Progress, if set, is called about once a second and at the end.
	Progress func(FetchProgress)
}

// FetchProgress tells how far a download is.
type FetchProgress struct {
	Done, Total int   // ranges
	Bytes       int64 // received
	Elapsed     time.Duration
	Rate        float64 // ranges a second
	ETA         time.Duration
}

// FetchResult describes a finished download.
type FetchResult struct {
	Fetched   int // ranges with new content
	Unchanged int // ranges the server said had not changed
	Resumed   int // ranges that an interrupted download had got already
	Retries   int
	Bytes     int64
}

const (
	// maxRangeBody bounds one range, inflated: ten times what a two-billion
	// corpus has.
	maxRangeBody  = 1 << 20
	maxBackOff    = time.Minute
	maxRetryAfter = 5 * time.Minute
	requestLimit  = 30 * time.Second
	dialLimit     = 5 * time.Second
	// resumeWithin is how long an interrupted download may be taken up again
	// without asking for its ranges once more.
	resumeWithin = 3 * 24 * time.Hour
)

// Fetch downloads ranges from a service that speaks the public range API.
// Each range is checked before it replaces the file at hand: its Content-MD5
// where the server gives one, its form, its order, and that it is not empty.
// A range that is at hand is asked for with its entity tag, so that an
// unchanged one costs no transfer; an interrupted download goes on where it
// stopped. When a range still fails after all attempts, Fetch stops with an
// error and keeps what it has. A service that cannot be reached at first, be it
// by its name, is told of without further attempts.
//
// It writes KIND.tags into the folder, by which Update knows what changed.
func Fetch(ctx context.Context, opts FetchOptions) (*FetchResult, error) {
	f, err := newFetcher(opts)
	if err != nil {
		return nil, err
	}
	defer f.dir.Close()
	return f.run(ctx)
}

type fetcher struct {
	o    FetchOptions
	base string
	dir  *os.Root
	tags *tagIndex
	log  *os.File

	start    time.Time
	deadline atomic.Int64 // no request before this time, in Unix nanoseconds
	reached  atomic.Bool  // there was an answer, whichever

	mu   sync.Mutex
	res  FetchResult
	done int
	told time.Time
}

func newFetcher(o FetchOptions) (*fetcher, error) {
	if o.Kind == 0 {
		o.Kind = SHA1
	}
	if o.Kind.Size() == 0 {
		return nil, ErrKind
	}
	if o.Parallel <= 0 {
		o.Parallel = 32
	}
	if o.Attempts <= 0 {
		o.Attempts = 8
	}
	if o.BackOff <= 0 {
		o.BackOff = 500 * time.Millisecond
	}
	if o.UserAgent == "" {
		o.UserAgent = "watchword"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Client == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConnsPerHost = o.Parallel
		t.DialContext = (&net.Dialer{Timeout: dialLimit}).DialContext
		o.Client = &http.Client{Transport: t}
	}
	o.Prefixes = slices.Compact(slices.Sorted(slices.Values(o.Prefixes)))
	if n := len(o.Prefixes); n > 0 && o.Prefixes[n-1] >= prefixCount {
		return nil, errPrefix
	}
	u, err := url.Parse(o.BaseURL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.User != nil {
		return nil, errors.New("wordlists: BaseURL is not an http or https address")
	}
	f := &fetcher{o: o, base: strings.TrimSuffix(u.String(), "/"), start: o.Now()}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, err
	}
	if f.tags, err = readTags(fetchedPath(o.Dir, o.Kind)); err != nil {
		return nil, err
	}
	if f.dir, err = os.OpenRoot(o.Dir); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *fetcher) run(ctx context.Context) (*FetchResult, error) {
	path := fetchedPath(f.o.Dir, f.o.Kind)
	resume := !f.o.Force && !f.tags.begun.IsZero() && f.start.Sub(f.tags.begun) < resumeWithin
	var err error
	if f.log, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644); err != nil {
		return nil, err
	}
	defer func() { f.log.Close() }()
	if err := lockFile(f.log); err != nil {
		return nil, fmt.Errorf("another download is filling this folder: %w", err)
	}
	if !resume {
		clear(f.tags.since)
		// On a line of its own, should a crash have cut the last one short.
		if _, err := fmt.Fprintf(f.log, "\nbegin %d\n", f.start.Unix()); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work := make(chan uint32)
	total := len(f.o.Prefixes)
	if total == 0 {
		total = prefixCount
	}
	var wg sync.WaitGroup
	for range f.o.Parallel {
		wg.Go(func() {
			for p := range work {
				if err := f.get(ctx, p); err != nil {
					cancel(err)
					continue
				}
				f.finish(total, nil)
			}
		})
	}
	for i := range total {
		p := uint32(i)
		if len(f.o.Prefixes) > 0 {
			p = f.o.Prefixes[i]
		}
		if f.tags.since[p] && f.atHand(p) {
			f.finish(total, func(r *FetchResult) { r.Resumed++ })
			continue
		}
		select {
		case work <- p:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
	}
	close(work)
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	// The files reach the disk before the line that calls them complete.
	if err := syncFolder(f.o.Dir); err != nil {
		return nil, err
	}
	if _, err := f.log.WriteString("end\n"); err != nil {
		return nil, err
	}
	if err := f.log.Sync(); err != nil {
		return nil, err
	}
	if err := f.tags.write(path); err != nil {
		return nil, err
	}
	f.tell(total, true)
	return &f.res, nil
}

// finish counts one range that was got or passed over.
func (f *fetcher) finish(total int, note func(*FetchResult)) {
	f.mu.Lock()
	if note != nil {
		note(&f.res)
	}
	f.done++
	f.mu.Unlock()
	f.tell(total, false)
}

func (f *fetcher) tell(total int, last bool) {
	if f.o.Progress == nil {
		return
	}
	now := f.o.Now()
	f.mu.Lock()
	if !last && now.Sub(f.told) < time.Second {
		f.mu.Unlock()
		return
	}
	f.told = now
	p := FetchProgress{Done: f.done, Total: total, Bytes: f.res.Bytes, Elapsed: now.Sub(f.start)}
	got := f.done - f.res.Resumed
	f.mu.Unlock()
	if s := p.Elapsed.Seconds(); s > 0 {
		p.Rate = float64(got) / s
	}
	if got > 0 {
		p.ETA = time.Duration(float64(p.Elapsed) / float64(got) * float64(total-p.Done))
	}
	f.o.Progress(p)
}

// atHand reports whether the file of a range is there with the size its tag
// was recorded with.
func (f *fetcher) atHand(p uint32) bool {
	st, err := f.dir.Stat(rangeName(p))
	return err == nil && st.Mode().IsRegular() && st.Size() == f.tags.sizes[p]
}

// get downloads one range, trying again as often as allowed.
func (f *fetcher) get(ctx context.Context, p uint32) error {
	f.mu.Lock()
	tag := f.tags.tags[p]
	f.mu.Unlock()
	if f.o.Force || !strings.HasSuffix(tag, `"`) || !f.atHand(p) {
		tag = "" // a digest of our own is nothing the server could compare
	}
	wait := f.o.BackOff
	for attempt := 1; ; attempt++ {
		if err := f.pause(ctx); err != nil {
			return err
		}
		err := f.try(ctx, p, tag)
		var retry *retryError
		if err == nil || !errors.As(err, &retry) {
			return err
		}
		if attempt == f.o.Attempts {
			return fmt.Errorf("range %05X, %d attempts: %w", p, attempt, retry.err)
		}
		if retry.unconditional {
			tag = ""
		}
		f.mu.Lock()
		f.res.Retries++
		f.mu.Unlock()
		if retry.after > 0 {
			// The server asked everybody to wait, not this request alone.
			f.holdOff(min(retry.after, maxRetryAfter))
		}
		if err := sleep(ctx, wait/2+rand.N(wait)); err != nil {
			return err
		}
		wait = min(2*wait, maxBackOff)
	}
}

// retryError is a failure that may pass.
type retryError struct {
	err           error
	after         time.Duration
	unconditional bool // ask without the entity tag
}

func (e *retryError) Error() string { return e.err.Error() }

func (f *fetcher) holdOff(d time.Duration) {
	until := f.o.Now().Add(d).UnixNano()
	for {
		now := f.deadline.Load()
		if now >= until || f.deadline.CompareAndSwap(now, until) {
			return
		}
	}
}

func (f *fetcher) pause(ctx context.Context) error {
	if d := f.deadline.Load() - f.o.Now().UnixNano(); d > 0 {
		return sleep(ctx, time.Duration(d))
	}
	return ctx.Err()
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// try asks for one range once.
func (f *fetcher) try(ctx context.Context, p uint32, tag string) error {
	limited, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	address := fmt.Sprintf("%s/range/%05X", f.base, p)
	if f.o.Kind == NTLM {
		address += "?mode=ntlm"
	}
	req, err := http.NewRequestWithContext(limited, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", f.o.UserAgent)
	// Asked for by hand, so that the bytes on the wire are seen as well.
	req.Header.Set("Accept-Encoding", "gzip")
	if tag != "" {
		req.Header.Set("If-None-Match", tag)
	}
	resp, err := f.o.Client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var why *url.Error // its own text has the address in it
		if errors.As(err, &why) {
			err = why.Err
		}
		if unreachable(err) && !f.reached.Load() {
			return fmt.Errorf("%s cannot be reached: %w", req.URL.Host, err)
		}
		return &retryError{err: fmt.Errorf("no answer: %w", err)}
	}
	f.reached.Store(true)
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusOK:
	case resp.StatusCode == http.StatusNotModified && tag != "":
		f.mu.Lock()
		f.res.Unchanged++
		err := f.record(p, f.tags.sizes[p], tag)
		f.mu.Unlock()
		return err
	case resp.StatusCode == http.StatusNotModified:
		return &retryError{err: errors.New("answered 304 to an unconditional request")}
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode == http.StatusRequestTimeout, resp.StatusCode >= 500:
		return &retryError{err: fmt.Errorf("answered %d", resp.StatusCode), after: retryAfter(resp.Header, f.o.Now())}
	default:
		return fmt.Errorf("range %05X: answered %d", p, resp.StatusCode)
	}
	body, err := f.body(resp, p)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return &retryError{err: err, unconditional: true}
	}
	return f.keep(p, body, resp.Header.Get("ETag"))
}

// unreachable tells whether there was not even a connection, to the service or
// to the proxy before it.
func unreachable(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && (op.Op == "dial" || op.Op == "proxyconnect")
}

// retryAfter reads Retry-After in either form (RFC 9110, 10.2.3).
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if s, err := strconv.Atoi(v); err == nil {
		return time.Duration(min(max(s, 0), 3600)) * time.Second
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(0, t.Sub(now))
	}
	return 0
}

// body reads and checks an answer.
func (f *fetcher) body(resp *http.Response, p uint32) ([]byte, error) {
	raw, err := readLimited(resp.Body)
	if err != nil {
		return nil, err
	}
	body := raw
	switch resp.Header.Get("Content-Encoding") {
	case "":
	case "gzip":
		z, err := gzip.NewReader(bytes.NewReader(raw))
		if err != nil {
			return nil, errors.New("damaged gzip body")
		}
		if body, err = readLimited(z); err != nil {
			return nil, err
		}
	default:
		return nil, errors.New("answered in an encoding that was not asked for")
	}
	// Servers that compress on the way give the digest of the stored text,
	// others that of what they send; either proves the transfer.
	if want := resp.Header.Get("Content-MD5"); want != "" && want != md5Of(body) && want != md5Of(raw) {
		return nil, errors.New("Content-MD5 does not match the body")
	}
	entries := 0
	lines := newLineReader(nil, 64<<10, maxHashLine)
	_, err = readRange(bytes.NewReader(body), rangeName(p), p, f.o.Kind, lines, func(*Key, uint32) error {
		entries++
		return nil
	})
	if err != nil {
		return nil, err
	}
	if entries == 0 {
		return nil, errors.New("range without entries")
	}
	f.mu.Lock()
	f.res.Bytes += int64(len(raw))
	f.mu.Unlock()
	return body, nil
}

func md5Of(b []byte) string {
	sum := md5.Sum(b)
	return base64.StdEncoding.EncodeToString(sum[:])
}

func readLimited(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxRangeBody+1))
	if err != nil {
		return nil, errors.New("body broke off or is damaged")
	}
	if len(b) > maxRangeBody {
		return nil, errors.New("body over 1 MiB")
	}
	return b, nil
}

// keep puts a range's file in place and records its tag.
func (f *fetcher) keep(p uint32, body []byte, tag string) error {
	name := rangeName(p)
	temp := name + ".new"
	if err := f.dir.WriteFile(temp, body, 0o644); err != nil {
		return err
	}
	if err := f.dir.Rename(temp, name); err != nil {
		return err
	}
	if !validTag(tag) {
		sum := md5.Sum(body)
		tag = "md5:" + hex.EncodeToString(sum[:])
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.res.Fetched++
	return f.record(p, int64(len(body)), tag)
}

// record notes a range's tag; f.mu is held.
func (f *fetcher) record(p uint32, size int64, tag string) error {
	f.tags.tags[p], f.tags.sizes[p] = tag, size
	_, err := fmt.Fprintf(f.log, "%05X %d %s\n", p, size, tag)
	return err
}

// validTag reports whether a server's entity tag is one (RFC 9110, 8.8.3) and
// short enough to keep a million of.
func validTag(tag string) bool {
	opaque := strings.TrimPrefix(tag, "W/")
	if len(opaque) < 2 || len(opaque) > 128 || opaque[0] != '"' || opaque[len(opaque)-1] != '"' {
		return false
	}
	for _, c := range []byte(opaque[1 : len(opaque)-1]) {
		if c < 0x21 || c == '"' || c > 0x7e {
			return false
		}
	}
	return true
}
