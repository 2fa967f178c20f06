// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package audit

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/watchword-project/watchword/server/internal/objects"
	"github.com/watchword-project/watchword/server/internal/password"
	"github.com/watchword-project/watchword/server/internal/verifier"
	"github.com/watchword-project/watchword/wordlists"
)

// pollEvery is how often the store is asked for audits of other servers, and
// pause how long one waits for chunks that others work on.
const (
	pollEvery = 2 * time.Second
	pause     = 200 * time.Millisecond
)

// Run works on audits until ctx ends.
func (e *Engine) Run(ctx context.Context) {
	var wait sync.WaitGroup
	defer wait.Wait()
	var mu sync.Mutex
	busy := make(map[string]bool)
	t := time.NewTicker(pollEvery)
	defer t.Stop()
	for {
		for a, err := range e.list(ctx, objects.AllTenants) {
			if err != nil {
				if ctx.Err() == nil {
					e.Log.Error("an audit could not be read", "error", err)
				}
				continue
			}
			if !e.wants(a) {
				continue
			}
			mu.Lock()
			start := !busy[a.ID] && len(busy) < maxAudits
			busy[a.ID] = busy[a.ID] || start
			mu.Unlock()
			if !start {
				continue
			}
			wait.Go(func() {
				e.busy.Add(1)
				e.drive(ctx, a.Tenant, a.ID)
				e.busy.Add(-1)
				mu.Lock()
				delete(busy, a.ID)
				mu.Unlock()
			})
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		case <-e.wake:
		}
	}
}

// wants tells whether there is something to do for an audit.
func (e *Engine) wants(a *Audit) bool {
	if a.State == Open || a.Dropped {
		return false
	}
	return !a.Cleaned || e.due(a)
}

// due tells whether an audit is to recur now.
func (e *Engine) due(a *Audit) bool {
	return a.Cleaned && a.recurs() && !e.Now().Before(a.Created.Add(a.Repeat))
}

// recurs tells whether another audit is to follow.
func (a *Audit) recurs() bool { return a.Repeat > 0 && a.State == Done && !a.Followed }

// maxMissing is how often a part of an audit may not be found before it is taken
// for lost.
const maxMissing = 5

// drive works on one audit until it needs nothing more, or fails.
func (e *Engine) drive(ctx context.Context, tenant, id string) {
	r := &runner{Engine: e}
	missing := 0
	for ctx.Err() == nil {
		a, err := e.load(ctx, tenant, id)
		if err != nil || !e.wants(a) {
			return
		}
		r.a = a
		idle := false
		err = verifier.Contain(func() (err error) { idle, err = r.step(ctx); return err })
		if errors.Is(err, objects.ErrNotFound) { // somebody else has ended the audit, or a part is lost
			missing++
		}
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errLost):
			idle = true
		case errors.Is(err, errRows), errors.Is(err, errSealed), errors.Is(err, verifier.ErrPanic), err != nil && missing > maxMissing:
			e.Log.Error("audit failed", "tenant", tenant, "audit", id, "error", err)
			_, _ = e.change(ctx, tenant, id, func(a *Audit) (bool, error) {
				if a.State != Failed {
					a.State, a.Stop, a.Ended = Failed, StopFault, e.Now().UTC().Truncate(time.Second)
				}
				return true, nil
			})
			missing, idle = 0, true
		case err != nil:
			e.Log.Warn("audit waits for the store", "tenant", tenant, "audit", id, "error", err)
			idle = true
		}
		if idle {
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
		}
	}
}

// runner works on one audit.
type runner struct {
	*Engine
	a     *Audit
	list  []password.Text // common passwords, as far as the budget goes
	known map[verifier.Pseudonym]string
	words *[]string // of the organisation; nil: not read yet

	spent atomic.Int64 // of the processor budget, by all servers
}

// step does the next thing there is to do; idle tells that others do it.
func (r *runner) step(ctx context.Context) (idle bool, err error) {
	a := r.a
	switch {
	case r.due(a):
		return false, r.recur(ctx)
	case !a.Told && !a.Started.IsZero():
		return r.alone(ctx, r.tell)
	case a.Settled || a.State == Failed:
		return r.alone(ctx, r.clean)
	case !a.Gathered && a.State == Running:
		return r.alone(ctx, r.gather)
	}
	works, err := r.works(ctx, a)
	if err != nil {
		return false, err
	}
	bounds := roundsOf(a.Budget.Guesses)
	last := stageRounds + 2*(len(bounds)-1)
	stop := a.Stop
	if stop == "" && a.State == Running {
		stop = r.exhausted(works)
	}
	if stop != "" || a.State != Running {
		if stop != a.Stop && a.State == Running {
			_, err := r.change(ctx, a.Tenant, a.ID, func(a *Audit) (bool, error) {
				if a.Stop != "" {
					return false, nil
				}
				a.Stop = stop
				return true, nil
			})
			return false, err
		}
		// What costs nothing is done all the same, unless somebody cancelled.
		if a.State == Running {
			last = stageRounds
		} else {
			last = 0
		}
	}
	least := last
	for _, w := range works {
		least = min(least, w.Stage)
	}
	switch least {
	case last:
		return r.alone(ctx, r.settle)
	case stageJoin:
		return r.alone(ctx, r.join)
	}
	return r.chunks(ctx, works, least, bounds)
}

// tell puts the start into the event log.
func (r *runner) tell(ctx context.Context) error {
	if err := r.Tell(ctx, Began, r.a); err != nil {
		return err
	}
	_, err := r.change(ctx, r.a.Tenant, r.a.ID, func(a *Audit) (bool, error) {
		a.Told = true
		return true, nil
	})
	return err
}

// exhausted tells why no more may be guessed.
func (r *runner) exhausted(works []*work) string {
	var cpu time.Duration
	for _, w := range works {
		cpu += w.CPU
	}
	r.spent.Store(int64(cpu))
	switch {
	case !r.a.Deadline.IsZero() && !r.Now().Before(r.a.Deadline):
		return StopDeadline
	case cpu >= r.a.Budget.CPU:
		return StopBudget
	}
	return ""
}

// alone runs f under the audit's own lease.
func (r *runner) alone(ctx context.Context, f func(context.Context) error) (idle bool, err error) {
	if !r.free(r.a.Owner, r.a.Until) {
		return true, nil
	}
	if err := r.hold(ctx); err != nil {
		return false, err
	}
	work, cancel := context.WithCancelCause(ctx)
	var wait sync.WaitGroup
	wait.Go(func() {
		t := time.NewTicker(r.Lease / 3)
		defer t.Stop()
		for {
			select {
			case <-work.Done():
				return
			case <-t.C:
				if err := r.hold(work); err != nil {
					cancel(err)
					return
				}
			}
		}
	})
	err = f(work)
	cancel(nil)
	wait.Wait() // or it would renew the lease of what r works on next
	if cause := context.Cause(work); !errors.Is(cause, context.Canceled) {
		return false, cause // the lease was lost, whatever f made of it
	}
	return false, err
}

// hold takes or renews the lease of the audit.
func (r *runner) hold(ctx context.Context) error {
	_, err := r.change(ctx, r.a.Tenant, r.a.ID, func(a *Audit) (bool, error) {
		if !r.free(a.Owner, a.Until) {
			return false, errLost
		}
		a.Owner, a.Until = r.owner, r.Now().Add(r.Lease)
		return true, nil
	})
	return err
}

// together is how many chunks are worked on at the same moment: a store that
// syncs each write takes those of several chunks at once.
const together = 8

// each calls f for every chunk, several at a time, and gives the first error.
func each(ctx context.Context, works []*work, f func(context.Context, *work) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wait sync.WaitGroup
	turns := make(chan struct{}, together)
	for _, w := range works {
		turns <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		wait.Go(func() {
			defer func() { <-turns }()
			if err := verifier.Contain(func() error { return f(ctx, w) }); err != nil {
				cancel(err)
			}
		})
	}
	wait.Wait()
	return context.Cause(ctx)
}

// chunks does one stage of every chunk that is there to be had.
func (r *runner) chunks(ctx context.Context, works []*work, stage int, bounds []int) (idle bool, err error) {
	if err := r.prepare(stage, bounds); err != nil {
		return false, err
	}
	var did atomic.Bool
	err = each(ctx, works, func(ctx context.Context, w *work) error {
		if w.Stage != stage || !r.free(w.Owner, w.Until) || stage >= stageRounds && r.over() {
			return nil
		}
		if !r.Alone {
			if err := r.claim(ctx, r.a, w); errors.Is(err, errLost) {
				return nil
			} else if err != nil {
				return err
			}
		}
		did.Store(true)
		if stage == stageSurvey {
			return r.survey(ctx, w)
		}
		return r.guess(ctx, w, bounds)
	})
	return !did.Load(), err
}

// prepare reads what a stage needs for all chunks.
func (r *runner) prepare(stage int, bounds []int) error {
	if r.known == nil && r.a.Source == OwnStore {
		r.known = make(map[verifier.Pseudonym]string)
		for _, name := range knownNames() {
			if p, err := r.Accounts.Pseudonym(r.a.Tenant, name); err == nil {
				r.known[p] = name
			}
		}
	}
	if stage < stageRounds {
		return nil
	}
	n := len(bounds) - 1
	if round := (stage - stageRounds) % n; bounds[round+1] > len(r.list) {
		r.common(bounds[round+1])
	}
	if r.words == nil {
		words, err := r.Engine.words(r.a)
		if err != nil {
			return err
		}
		r.words = &words
	}
	return nil
}

// over tells whether guessing must stop.
func (r *runner) over() bool {
	return time.Duration(r.spent.Load()) >= r.a.Budget.CPU || !r.a.Deadline.IsZero() && !r.Now().Before(r.a.Deadline)
}

// gather lists the own store's credentials. Rows hold pseudonyms and nothing
// else: the hash is opened when it is needed, and never kept without its
// pepper.
func (r *runner) gather(ctx context.Context) error {
	a := r.a
	for _, kind := range []string{kindWork(a.ID), kindRows(a.ID)} { // of one who did not come to an end
		if err := r.deleteAll(ctx, kind, a.Tenant, nil); err != nil {
			return err
		}
	}
	var all []verifier.Pseudonym
	for p, err := range r.Accounts.Subjects(ctx, a.Tenant) {
		if err != nil {
			return err
		}
		all = append(all, p)
	}
	slices.SortFunc(all, func(x, y verifier.Pseudonym) int { return bytes.Compare(x[:], y[:]) })
	all = slices.Compact(all)
	for n := 0; n*chunkRows < len(all); n++ {
		w := work{First: n * chunkRows, Rows: newName()}
		var rows []byte
		for _, p := range all[w.First:min(len(all), w.First+chunkRows)] {
			rows = appendRow(rows, &Row{ID: p.String()})
			w.Count++
		}
		if err := r.create(ctx, kindRows(a.ID), a.Tenant, w.Rows, rows); err != nil {
			return err
		}
		if err := r.create(ctx, kindWork(a.ID), a.Tenant, workName(n), w.marshal()); err != nil {
			return err
		}
	}
	_, err := r.change(ctx, a.Tenant, a.ID, func(a *Audit) (bool, error) {
		a.Gathered = true
		return true, nil
	})
	r.Log.Info("audit started", "tenant", a.Tenant, "audit", a.ID, "records", len(all))
	return err
}

// open gives the rows of a chunk with their hashes.
func (r *runner) open(ctx context.Context, w *work) ([]Row, error) {
	rows, err := r.rows(ctx, r.a, w)
	if err != nil || r.a.Source != OwnStore {
		return rows, err
	}
	for i := range rows {
		if rows[i], err = r.review(ctx, rows[i].ID); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// review makes the row of a credential in the own store. One that was deleted
// meanwhile, or whose pepper is gone, has no hash.
func (r *runner) review(ctx context.Context, id string) (Row, error) {
	row := Row{ID: id, Flags: FlagPeppered}
	p, ok := verifier.ParsePseudonym(id)
	if !ok {
		return row, errRows
	}
	v, err := r.Accounts.Review(ctx, r.a.Tenant, p)
	var store *verifier.StoreError
	switch {
	case errors.Is(err, verifier.ErrUnknownSubject):
		return row, nil
	case errors.As(err, &store) || ctx.Err() != nil:
		return row, err
	case err != nil:
		row.Fault = FaultHash
		return row, nil
	}
	row.Hash, row.LastLogin, row.LastChanged = v.PHC, v.LastLogin, v.Changed
	row.Context.Login = r.known[p]
	switch {
	case v.InForce() == verifier.StateDisabled:
		row.Flags |= FlagDisabled
	case v.LastLogin.IsZero() && r.a.Created.Sub(v.Created) > r.a.Limits.DormantAfter:
		row.Flags |= FlagNeverLoggedIn
	}
	since := v.Changed
	if since.IsZero() { // imported without the time
		since = v.Created
	}
	if v.State == verifier.StateMustChange && r.a.Created.Sub(since) > initialAfter {
		row.Flags |= FlagNeverChanged
	}
	return row, nil
}

// login is the name of an account, as far as it is known.
func (r *runner) login(row *Row) string {
	if row.Context.Login == "" && r.a.Source == Uploaded {
		return row.ID
	}
	return row.Context.Login
}

func tierOf(row *Row) (tier, password.Info) {
	if row.Hash == "" || row.Fault != "" {
		return tierNone, password.Info{}
	}
	info, err := password.Parse(row.Hash)
	if err != nil {
		return tierNone, info
	}
	if _, _, bare := password.Bare(row.Hash); bare {
		return tierBare, info
	}
	if info.Weak() {
		return tierCheap, info
	}
	return tierSlow, info
}

// survey finds what shows without a guess.
func (r *runner) survey(ctx context.Context, w *work) error {
	rows, err := r.open(ctx, w)
	if err != nil {
		return err
	}
	var found []Finding
	w.Schemes = make(map[string]int)
	for i := range rows {
		row := &rows[i]
		list := posture(row, r.login(row), r.a.Limits, r.a.Created)
		list = append(list, row.found...)
		guessed := false
		for _, f := range list {
			f.Row = w.First + i
			if f.Band > 0 || f.Kind == Breached {
				guessed = guessed || f.Kind != Breached
				f.tag = row.tag
			}
			found = append(found, f)
		}
		if guessed {
			w.Hits++
		}
		t, info := tierOf(row)
		switch {
		case row.Fault != "":
			w.Schemes["malformed"]++
		case row.Hash == "" && r.a.Source == Uploaded:
			w.Schemes["plaintext"]++
		case row.Hash != "":
			w.Schemes[string(info.Scheme)]++
		}
		mean := time.Duration(0)
		if t != tierNone {
			mean, _ = r.Hasher.ServiceTime(row.Hash)
		}
		switch t {
		case tierBare, tierCheap:
			w.Cheap++
			w.CheapCost += mean
		case tierSlow:
			w.Slow++
			w.SlowCost += mean
		}
	}
	w.Stage = stageJoin
	return r.advance(ctx, r.a, w, found)
}

// common gives the first n passwords of the list.
func (r *runner) common(n int) []password.Text {
	if len(r.list) < n {
		r.list = r.list[:0]
		for word := range wordlists.Ranked() {
			if len(r.list) >= n {
				break
			}
			t, err := password.New(word)
			if err != nil {
				t, _ = password.New("123456") // keeps the ranks in step
			}
			r.list = append(r.list, t)
		}
	}
	return r.list[:min(n, len(r.list))]
}

// guess does one round over a chunk.
func (r *runner) guess(ctx context.Context, w *work, bounds []int) error {
	n := len(bounds) - 1
	round, want, rowsLeft := w.Stage-stageRounds, tierCheap, w.Cheap
	if round >= n {
		round, want, rowsLeft = round-n, tierSlow, w.Slow
	}
	if rowsLeft == 0 { // nothing for this tier in any round
		if want == tierCheap {
			w.Stage = stageRounds + n
		} else {
			w.Stage = stageRounds + 2*n
		}
		return r.advance(ctx, r.a, w, nil)
	}
	rows, err := r.open(ctx, w)
	if err != nil {
		return err
	}
	g := &guessing{runner: r, w: w, first: w.First, rows: rows, lo: bounds[round], hi: bounds[round+1]}
	g.common = r.list[:min(g.hi, len(r.list))]
	for i := range rows {
		t, _ := tierOf(&rows[i])
		if t == tierBare {
			t = tierCheap
		}
		if t == want && !w.Resolved.has(i) && !w.Did.has(i) {
			g.todo = append(g.todo, i)
		}
	}
	return g.run(ctx)
}

// guessing is one round over a chunk at work.
type guessing struct {
	*runner
	w      *work
	first  int // offset of the chunk
	rows   []Row
	common []password.Text
	lo, hi int
	todo   []int

	mu       sync.Mutex
	next     int
	found    []Finding
	resolved []int
	did      []int
	guesses  int64
	cpu      time.Duration
	hits     int
}

// run works on the rows with as many goroutines as there are slots, and
// commits what they did again and again.
func (g *guessing) run(ctx context.Context) error {
	work, stop := context.WithCancel(ctx)
	defer stop()
	var wait sync.WaitGroup
	failed := make(chan error, 1)
	for range max(1, g.Hasher.Stats().Slots) {
		wait.Go(func() {
			for {
				g.mu.Lock()
				at := g.next
				g.next++
				g.mu.Unlock()
				if at >= len(g.todo) || g.over() {
					return
				}
				if err := verifier.Contain(func() error { return g.row(work, g.todo[at]) }); err != nil {
					select {
					case failed <- err:
					default:
					}
					stop()
					return
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wait.Wait(); close(done) }()
	t := time.NewTicker(g.Checkpoint)
	defer t.Stop()
	for {
		select {
		case <-done:
			select {
			case err := <-failed:
				// What was found is kept all the same.
				if ctx.Err() == nil {
					if e := g.checkpoint(ctx, false); e != nil {
						return e
					}
				}
				return err
			default:
			}
			return g.checkpoint(ctx, !g.over())
		case <-t.C:
			err := g.checkpoint(ctx, false)
			if err == nil {
				err = g.look(ctx)
			}
			if err != nil {
				stop()
				<-done
				return err
			}
		}
	}
}

// look learns what others have spent, and whether somebody cancelled.
func (g *guessing) look(ctx context.Context) error {
	a, err := g.load(ctx, g.a.Tenant, g.a.ID)
	if err != nil {
		return err
	}
	if a.State != Running || a.Stop != "" {
		return errLost
	}
	works, err := g.works(ctx, a)
	if err != nil {
		return err
	}
	g.exhausted(works)
	return nil
}

// checkpoint commits what was done since the last.
func (g *guessing) checkpoint(ctx context.Context, ended bool) error {
	g.mu.Lock()
	found := g.found
	w := *g.w
	w.Resolved, w.Did = slices.Clone(w.Resolved), slices.Clone(w.Did)
	for _, i := range g.resolved {
		w.Resolved.add(i)
	}
	for _, i := range g.did {
		w.Did.add(i)
	}
	w.Guesses += g.guesses
	w.CPU += g.cpu
	w.Hits += g.hits
	g.found, g.resolved, g.did, g.guesses, g.cpu, g.hits = nil, nil, nil, 0, 0, 0
	g.mu.Unlock()
	if ended {
		w.Stage++
		w.Did = nil
		w.Owner = ""
	}
	if err := g.advance(ctx, g.a, &w, found); err != nil {
		return err
	}
	*g.w = w
	return nil
}

// Guesses are handed over in turns of at most so many, and of so long, so that
// a budget, a deadline and a cancellation are kept.
const (
	turn     = 256
	turnTime = 20 * time.Millisecond
)

// row does one round for one record.
func (g *guessing) row(ctx context.Context, i int) error {
	row := &g.rows[i]
	person := personOf(row, *g.words)
	person.MayBeEmpty = g.a.Source == Uploaded
	if g.a.Source == OwnStore {
		person.Login, person.Context.Login = row.Context.Login, row.Context.Login
	}
	own := Candidates(person, g.a.Created, (g.hi+1)/2)
	fromPerson, fromList := share(g.lo, len(own))
	toPerson, toList := share(g.hi, len(own))
	t, _ := tierOf(row)
	texts := make([]password.Text, 0, g.hi-g.lo)
	class := own[fromPerson:toPerson]
	for k := range class {
		text, err := password.New(class[k].Text)
		switch {
		case class[k].Class == "empty":
			text = password.Empty()
		case err != nil:
			text, _ = password.New("123456")
		}
		texts = append(texts, text)
	}
	mine := len(texts)
	if t != tierBare && fromList < len(g.common) {
		texts = append(texts, g.common[fromList:min(toList, len(g.common))]...)
	}
	for at := 0; at < len(texts); {
		if g.over() {
			return nil
		}
		mean, _ := g.Hasher.ServiceTime(row.Hash)
		n := max(1, min(turn, int(turnTime/max(mean, 1)), len(texts)-at))
		out, err := g.Hasher.Guess(ctx, password.Batch.Of(g.a.Tenant), texts[at:at+n], row.Hash)
		g.spent.Add(int64(out.Took))
		g.mu.Lock()
		g.guesses += int64(out.Tried)
		g.cpu += out.Took
		g.mu.Unlock()
		var busy *password.BusyError
		switch {
		case errors.As(err, &busy):
			at += out.Tried
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(min(busy.RetryAfter, time.Second)):
			}
			continue
		case err != nil:
			return err
		}
		if out.Hit >= 0 {
			hit := at + out.Hit
			f := Finding{Row: g.first + i, Kind: Weak, Class: "common"}
			if hit < mine {
				f.Class = class[hit].Class
				f.Kind = ContextDerived
				if f.Class == "empty" {
					f.Kind = Weak
				}
				f.Band = bandOf(float64(fromPerson + hit + 1))
				login := person.Context.Login
				if f.Class == "vendor-default" || f.Class == "same-as-login" && (defaultName(login) || testName(login)) {
					f.Kind = DefaultCredential
				}
			} else {
				f.Band = bandOf(float64(fromList + hit - mine + 1))
			}
			f.Severity = guessedSeverity(f.Band)
			if f.Kind == DefaultCredential {
				f.Severity = Critical
			}
			f.Severity = f.Severity.weigh(row.Flags)
			f.tag = g.seal.tagOf(g.a.ID, texts[hit].Reveal())
			list := []Finding{f}
			if t != tierBare && g.Corpora != nil { // bare ones were met with the corpora
				if b := g.Corpora.Breach(texts[hit], false); b.Found {
					list = append(list, Finding{Row: f.Row, Kind: Breached, Severity: breachSeverity(b.Count).weigh(row.Flags), Class: seen(b.Count)})
				}
			}
			g.mu.Lock()
			g.found = append(g.found, list...)
			g.resolved = append(g.resolved, i)
			g.hits++
			g.mu.Unlock()
			return nil
		}
		at += out.Tried
	}
	g.mu.Lock()
	g.did = append(g.did, i)
	g.mu.Unlock()
	return nil
}
