// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package policy

import (
	"cmp"
	"encoding/json"
	"errors"
	"iter"
	"maps"
	"math"
	"slices"

	"github.com/watchword-project/watchword/server/internal/password"
)

// Sample is one password to try a draft on.
type Sample struct {
	Text     password.Text
	Use      Use
	Purpose  Purpose
	Context  Context
	Evidence Evidence
}

// Share is a part of a whole with its 95 % confidence interval after Clopper
// and Pearson, which covers the true share in at least 95 of 100 cases
// however small the sample.
type Share struct {
	Count uint64
	Rate  float64
	Low   float64
	High  float64
}

// Reason is how often a rule refuses.
type Reason struct {
	Rule string
	Share
}

// Report is the outcome of a simulation.
type Report struct {
	Policy   string
	Version  string
	N        uint64
	Accepted Share
	// Reasons are the rules that refused anything, the most frequent first.
	// One password may break several.
	Reasons []Reason
	// Undecided names the rules of the draft that a histogram cannot answer
	// for; they count as kept.
	Undecided []string
}

type tally struct {
	n, accepted uint64
	reasons     map[string]uint64
}

func (t *tally) add(count uint64, rules []string) {
	t.n += count
	if len(rules) == 0 {
		t.accepted += count
	}
	if t.reasons == nil {
		t.reasons = map[string]uint64{}
	}
	slices.Sort(rules)
	for _, r := range slices.Compact(rules) {
		t.reasons[r] += count
	}
}

func (t *tally) report(p *Policy) Report {
	r := Report{Policy: p.name, Version: p.version, N: t.n, Accepted: share(t.accepted, t.n)}
	for rule, n := range t.reasons {
		r.Reasons = append(r.Reasons, Reason{Rule: rule, Share: share(n, t.n)})
	}
	slices.SortFunc(r.Reasons, func(a, b Reason) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Rule, b.Rule))
	})
	return r
}

// Simulate judges samples by a draft as if it were enforced, even if it is in
// shadow mode as a whole. Rules of their own in shadow mode refuse nothing.
func Simulate(draft *Policy, samples iter.Seq[Sample]) Report {
	enforced := *draft
	enforced.doc.Mode = modeEnforce
	var t tally
	for s := range samples {
		v := enforced.Judge(s.Text, s.Use, s.Purpose, s.Context, s.Evidence)
		rules := make([]string, 0, len(v.Violations))
		for _, x := range v.Violations {
			rules = append(rules, x.Rule)
		}
		t.add(1, rules)
	}
	return t.report(draft)
}

// Outcome is what is remembered of a judged password in order to try drafts
// on it: a few coarse numbers, never the password, its hash or its subject.
// Every count stops at a cap, so rare passwords do not stand out by it.
type Outcome struct {
	Use       Use      `json:"u,omitempty"`
	Purpose   Purpose  `json:"p,omitempty"`
	Length    uint8    `json:"n"`           // code points, up to 65
	Size      uint8    `json:"b,omitempty"` // bytes / 64, rounded up, up to 65
	Kinds     [5]uint8 `json:"k"`           // lower, upper, digit, symbol, caseless, each up to 4
	List      string   `json:"l,omitempty"` // of the first hit, with its form
	Form      string   `json:"f,omitempty"`
	Rank      uint8    `json:"r,omitempty"` // decimal digits of the rank
	Context   bool     `json:"c,omitempty"`
	Words     bool     `json:"w,omitempty"` // made of dictionary words
	Breach    uint8    `json:"h,omitempty"` // decimal digits of the count, up to 6
	Similar   bool     `json:"s,omitempty"`
	Missing   bool     `json:"m,omitempty"` // the corpora could not be asked
	Estimated bool     `json:"e,omitempty"`
	Guesses   uint8    `json:"g,omitempty"` // the power of ten, rounded down, up to 40
	Run       uint8    `json:"x,omitempty"` // longest run of one character, up to 9
	Sequence  uint8    `json:"q,omitempty"` // longest sequence, up to 9
	Distinct  uint8    `json:"d,omitempty"` // different characters, up to 12
	Piece     uint8    `json:"o,omitempty"` // length of the piece it repeats, up to 16
	Walk      bool     `json:"z,omitempty"` // sequences and runs only
	Reused    bool     `json:"y,omitempty"`
	// Close is 1 plus the distance from the previous password, 1 if it is the
	// same, reversed or has the same stem, up to 17; 0 if there is none.
	Close uint8 `json:"v,omitempty"`
}

func capped(n, most int) uint8 { return uint8(min(n, most)) }

func digits(n uint64) int {
	d := 0
	for ; n > 0; n /= 10 {
		d++
	}
	return d
}

// Observe reduces one judged password to its Outcome. The policy it was judged
// by does not matter.
func Observe(s Sample) Outcome {
	v := newView(s.Text.Reveal())
	defer v.wipe()
	o := Outcome{Use: s.Use, Purpose: s.Purpose, Length: capped(v.length, 65), Size: capped((v.bytes+63)/64, 65)}
	for _, r := range v.runes {
		if k := &o.Kinds[classOf(r)]; *k < 4 {
			*k++
		}
	}
	if len(s.Evidence.Listed) > 0 {
		l := s.Evidence.Listed[0]
		o.List, o.Form, o.Rank = l.List, l.Form, capped(digits(uint64(max(l.Rank, 0))), 20)
	}
	words, _ := s.Context.words()
	o.Context = derive(v, words) != nil
	if s.Evidence.Dictionary != nil {
		o.Words = derive(v, s.Evidence.Dictionary.words) != nil
	}
	b := s.Evidence.Breach
	if b.Found {
		o.Breach = capped(digits(b.Count), 6)
	}
	o.Similar, o.Missing = b.Similar, b.Status == Degraded
	if e := s.Evidence.Estimate; e != nil {
		o.Estimated, o.Guesses = true, capped(int(max(e.GuessesLog10, 0)), 40)
	}
	start, end := longestRun(v.folded)
	o.Run = capped(end-start, 9)
	runs := sequences(v.folded)
	o.Walk = covers(runs, len(v.folded))
	for _, r := range runs {
		if !r.repeat {
			o.Sequence = max(o.Sequence, capped(r.end-r.start, 9))
		}
	}
	o.Distinct = uint8(distinct(v.folded, 12))
	if n := period(v.folded); 2*n <= len(v.folded) {
		o.Piece = capped(n, 16)
	}
	o.Reused = s.Evidence.HistoryHit
	if !s.Evidence.Previous.IsZero() {
		before := newView(s.Evidence.Previous.Reveal())
		defer before.wipe()
		switch similar(v.folded, before.folded, 1) {
		case "":
			o.Close = 17
			if abs(len(v.folded)-len(before.folded)) < 16 {
				o.Close = 1 + capped(distance(clip(v.folded), clip(before.folded)), 16)
			}
		default:
			o.Close = 1
		}
	}
	return o
}

// maxCells bounds a Histogram; outcomes that would make another cell are then
// counted in Dropped.
const maxCells = 50_000

// ErrHistogramForm is returned for stored bytes that are no histogram.
var ErrHistogramForm = errors.New("not an outcome histogram")

// Histogram counts outcomes. It is not safe for concurrent use. The zero value
// is empty.
type Histogram struct {
	cells   map[Outcome]uint64
	Dropped uint64
}

// Add counts one outcome.
func (h *Histogram) Add(o Outcome) { h.add(o, 1) }

func (h *Histogram) add(o Outcome, n uint64) {
	if h.cells == nil {
		h.cells = map[Outcome]uint64{}
	}
	if _, known := h.cells[o]; !known && len(h.cells) >= maxCells {
		h.Dropped += n
		return
	}
	h.cells[o] += n
}

// Trim keeps the most frequent outcomes, at most so many cells, for a store
// that has no room for all, and counts the others in Dropped.
func (h *Histogram) Trim(cells int) {
	type cell struct {
		o Outcome
		n uint64
	}
	var all []cell
	for o, n := range h.cells {
		all = append(all, cell{o, n})
	}
	slices.SortFunc(all, func(a, b cell) int { return cmp.Compare(b.n, a.n) })
	for _, c := range all[min(cells, len(all)):] {
		delete(h.cells, c.o)
		h.Dropped += c.n
	}
}

// Len is how many cells there are.
func (h *Histogram) Len() int { return len(h.cells) }

// Merge adds what other counted.
func (h *Histogram) Merge(other *Histogram) {
	for o, n := range other.cells {
		h.add(o, n)
	}
	h.Dropped += other.Dropped
}

// Total is how many outcomes are counted in cells.
func (h *Histogram) Total() uint64 {
	var n uint64
	for c := range maps.Values(h.cells) {
		n += c
	}
	return n
}

type cellForm struct {
	Outcome
	N uint64 `json:"#"`
}

type histogramForm struct {
	Cells   []cellForm `json:"cells"`
	Dropped uint64     `json:"dropped,omitempty"`
}

// Marshal gives the form in which a histogram is stored.
func (h *Histogram) Marshal() []byte {
	f := histogramForm{Cells: []cellForm{}, Dropped: h.Dropped}
	for o, n := range h.cells {
		f.Cells = append(f.Cells, cellForm{o, n})
	}
	b, err := json.Marshal(f)
	if err != nil {
		panic("policy: a histogram cannot be written: " + err.Error())
	}
	return b
}

// ParseHistogram reads what Marshal wrote.
func ParseHistogram(b []byte) (*Histogram, error) {
	var f histogramForm
	if err := json.Unmarshal(b, &f); err != nil || len(f.Cells) > maxCells {
		return nil, ErrHistogramForm
	}
	h := &Histogram{Dropped: f.Dropped}
	for _, c := range f.Cells {
		if c.Use > MultiFactor || c.Purpose > Login {
			return nil, ErrHistogramForm
		}
		h.add(c.Outcome, c.N)
	}
	return h, nil
}

// SimulateHistogram tries a draft on recorded outcomes. Rules that look at the
// characters themselves, or at values finer than an outcome keeps, are named
// in Report.Undecided.
func SimulateHistogram(draft *Policy, h *Histogram) Report {
	var t tally
	undecided := map[string]bool{}
	for o, n := range h.cells {
		t.add(n, draft.judgeOutcome(o, undecided))
	}
	r := t.report(draft)
	r.Undecided = slices.Sorted(maps.Keys(undecided))
	return r
}

// judgeOutcome gives the rules that an outcome breaks.
func (p *Policy) judgeOutcome(o Outcome, undecided map[string]bool) []string {
	var out []string
	r := &p.doc.Rules
	// refuse notes a rule: broken, kept, or not to be told from an outcome.
	refuse := func(b *base, rule string, broken, known bool) {
		switch {
		case b.Mode != modeEnforce || !b.on(o.Use):
		case !known:
			undecided[rule] = true
		case broken:
			out = append(out, rule)
		}
	}
	// least compares a capped count with a minimum.
	least := func(have uint8, most, want int) (broken, known bool) {
		return int(have) < want, int(have) < most || want <= most
	}
	broken, known := least(o.Length, 65, r.Length.least(o.Use))
	refuse(&r.Length.base, LengthMin, broken, known)
	refuse(&r.Size.base, LengthMax, int(o.Size-min(o.Size, 1))*64 >= r.Size.MaxBytes, r.Size.MaxBytes%64 == 0)
	if o.List != "" {
		b := r.Blocklist
		in := (len(b.Forms) == 0 || slices.Contains(b.Forms, o.Form)) && (len(b.Lists) == 0 || slices.Contains(b.Lists, o.List))
		ranked := b.MaxRank > 0 && o.Rank > 0
		refuse(&b.base, Blocklisted, in && (!ranked || int(o.Rank) <= digits(uint64(b.MaxRank))), !ranked || int(o.Rank) != digits(uint64(b.MaxRank)))
	}
	refuse(&r.Context.base, ContextDerived, o.Context, true)
	refuse(&r.Dictionary.base, InDictionary, o.Words && !o.Context, true)
	d := digits(r.Breach.Threshold)
	switch {
	case o.Breach > 0:
		exact := r.Breach.Threshold == uint64(math.Pow10(d-1)) || int(o.Breach) != min(d, 6)
		refuse(&r.Breach.base, Breached, int(o.Breach) >= min(d, 6), exact && d <= 6)
	case o.Similar && r.Breach.Similar:
		refuse(&r.Breach.base, Breached, true, true)
	case o.Missing && r.Breach.active() && r.Breach.Unavailable.of(o.Purpose) == failReject:
		refuse(&r.Breach.base, BreachUnavailable, true, true)
	}
	wanted := r.Guesses.MinLog10
	if o.Use == MultiFactor {
		wanted = r.Guesses.MinLog10MFA
	}
	if o.Estimated {
		refuse(&r.Guesses.base, TooGuessable, float64(o.Guesses) < wanted, wanted == math.Trunc(wanted) || int(o.Guesses) != int(wanted))
	} else {
		refuse(&r.Guesses.base, TooGuessable, false, false)
	}
	p.composedOutcome(o, refuse, least)
	if r.Repeat.Whole {
		n := int(o.Piece)
		refuse(&r.Repeat.base, Repeated, n > 0 && n < max(r.Length.least(o.Use), 8), n < 16 || r.Length.least(o.Use) <= 16)
	}
	if r.Repeat.MaxRun > 0 {
		refuse(&r.Repeat.base, Repeated, int(o.Run) > r.Repeat.MaxRun, o.Run < 9 || r.Repeat.MaxRun < 9)
	}
	broken, known = least(o.Distinct, 12, r.Repeat.MinDistinct)
	refuse(&r.Repeat.base, Repeated, broken, known)
	refuse(&r.Sequence.base, Sequence, r.Sequence.Whole && o.Walk, true)
	if r.Sequence.Max > 0 {
		refuse(&r.Sequence.base, Sequence, int(o.Sequence) > r.Sequence.Max, o.Sequence < 9 || r.Sequence.Max < 9)
	}
	refuse(&r.Contains.base, ContainsWord, false, false)
	refuse(&r.Fuzzy.base, FuzzyScore, false, false)
	refuse(&r.Patterns.base, Pattern, false, false)
	if o.Purpose != Login {
		// The history that was compared then may be longer or shorter than the draft's.
		refuse(&r.History.base, Reused, o.Reused, true)
		if o.Close > 0 {
			refuse(&r.Similarity.base, SimilarToPrevious, int(o.Close)-1 < r.Similarity.MinDistance, true)
		}
	}
	refuse(&r.MinAge.base, TooYoung, false, o.Purpose != Change)
	refuse(&r.MaxAge.base, Expired, false, o.Purpose != Login)
	return out
}

func (p *Policy) composedOutcome(o Outcome, refuse func(*base, string, bool, bool), least func(uint8, int, int) (bool, bool)) {
	c := &p.doc.Rules.Composition
	if !c.active() {
		return
	}
	kinds := 0
	for _, k := range o.Kinds {
		if k > 0 {
			kinds++
		}
	}
	for _, x := range []struct {
		have uint8
		most int
		want int
	}{
		{o.Kinds[lower], 4, c.MinLower}, {o.Kinds[upper], 4, c.MinUpper}, {o.Kinds[digit], 4, c.MinDigits},
		{o.Kinds[symbol], 4, c.MinSymbols},
		{o.Kinds[lower] + o.Kinds[upper] + o.Kinds[caseless], 4, c.MinLetters},
		{o.Kinds[digit] + o.Kinds[symbol], 4, c.MinNonLetters},
		{uint8(kinds), int(classes), c.MinClasses},
	} {
		broken, known := least(x.have, x.most, x.want)
		refuse(&c.base, Composition, broken, known)
	}
}

// share gives a part with its 95 % interval (Clopper and Pearson 1934).
func share(k, n uint64) Share {
	s := Share{Count: k, High: 1}
	if n == 0 {
		return s
	}
	s.Rate = float64(k) / float64(n)
	if k > 0 {
		s.Low = betaQuantile(0.025, float64(k), float64(n-k)+1)
	}
	if k < n {
		s.High = betaQuantile(0.975, float64(k)+1, float64(n-k))
	}
	return s
}

// betaQuantile inverts the regularised incomplete beta function by halving.
func betaQuantile(p, a, b float64) float64 {
	low, high := 0.0, 1.0
	for range 60 {
		if mid := (low + high) / 2; betaCDF(mid, a, b) < p {
			low = mid
		} else {
			high = mid
		}
	}
	return (low + high) / 2
}

// betaCDF is the regularised incomplete beta function I_x(a, b) by its
// continued fraction (DLMF 8.17.22), evaluated from the far end. It converges
// in O(√max(a, b)) terms on the side of the mean where it is used.
func betaCDF(x, a, b float64) float64 {
	if x <= 0 || x >= 1 {
		return min(max(x, 0), 1)
	}
	if x > (a+1)/(a+b+2) {
		return 1 - betaCDF(1-x, b, a)
	}
	// d(1), d(2), … of the formula: the odd and the even ones differ.
	d := func(n int) float64 {
		m := float64(n / 2)
		if n%2 == 1 {
			return -(a + m) * (a + b + m) * x / ((a + 2*m) * (a + 2*m + 1))
		}
		return m * (b - m) * x / ((a + 2*m - 1) * (a + 2*m))
	}
	tail := 0.0
	for n := min(200+int(6*math.Sqrt(max(a, b))), 30_000); n > 0; n-- {
		tail = d(n) / (1 + tail)
	}
	la, _ := math.Lgamma(a)
	lb, _ := math.Lgamma(b)
	lab, _ := math.Lgamma(a + b)
	return math.Exp(lab-la-lb+a*math.Log(x)+b*math.Log1p(-x)) / a / (1 + tail)
}
