// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package strength

// leetReach is how near a letter must stand for a sign to be read as one.
const leetReach = 3

// leetRunes is how many leading code points of a text may be disguised
// letters. Behind so many, a disguise no longer decides anything, and trying
// both readings of every sign is what takes the most time.
const leetRunes = 128

// scan finds, once for the whole text, where walks over the keyboard and
// sequences end, and which signs may be l33t letters.
func (a *arena) scan() {
	n := a.n
	last := -leetReach - 1
	for i, r := range a.low {
		a.mixed[i] = false
		if 'a' <= r && r <= 'z' {
			for k := max(0, last+1, i-leetReach); k < min(i, leetRunes); k++ {
				a.mixed[k] = a.low[k] < 128 && leet[a.low[k]][0] != 0
			}
			last = i
		} else if r < 128 && i-last <= leetReach && i < leetRunes {
			a.mixed[i] = leet[r][0] != 0
		}
	}
	for i := n - 1; i >= 0; i-- {
		a.run[i], a.seq[i], a.turns[i] = uint16(i+1), uint16(i+1), 0
		if i+1 >= n {
			continue
		}
		if d := direction(a.low[i], a.low[i+1]); d != 0 {
			a.run[i] = a.run[i+1]
			a.turns[i] = a.turns[i+1]
			if a.run[i+1] == uint16(i+2) || d != direction(a.low[i+1], a.low[i+2]) {
				a.turns[i]++
			}
		}
		if s := step(a.low[i], a.low[i+1]); s != 0 {
			a.seq[i] = uint16(i + 2)
			if i+2 < n && step(a.low[i+1], a.low[i+2]) == s {
				a.seq[i] = a.seq[i+1]
			}
		}
	}
}

// step is the distance from p to q when they may follow each other in a
// sequence: 1 or 2 up or down within letters, digits or one other script.
func step(p, q rune) rune {
	s := q - p
	if s == 0 || s < -2 || s > 2 || class(p) != class(q) || class(p) == 2 {
		return 0
	}
	return s
}

func class(r rune) int {
	switch {
	case 'a' <= r && r <= 'z':
		return 0
	case '0' <= r && r <= '9':
		return 1
	case r < 128:
		return 2
	}
	return 3
}

// place is where a key lies: 3 units to the right per key, each lower row
// shifted by 1 to 2 units, plus the number block far away. Zero: not a key.
type place struct{ x, y int8 }

// keys holds the letter block of the US layout; a sign typed with shift lies
// where its key lies.
var keys = layKeys()

func layKeys() (t [128]place) {
	rows := [...]struct {
		plain, shifted string
		x              int8
	}{
		{"`1234567890-=", "~!@#$%^&*()_+", 1},
		{"qwertyuiop[]\\", "QWERTYUIOP{}|", 5},
		{"asdfghjkl;'", "ASDFGHJKL:\"", 6},
		{"zxcvbnm,./", "ZXCVBNM<>?", 7},
	}
	for y, r := range rows {
		for i := range r.plain {
			p := place{r.x + 3*int8(i), int8(y + 1)}
			t[r.plain[i]], t[r.shifted[i]] = p, p
		}
	}
	return t
}

// direction numbers the way from key p to a neighbouring key q: 1 to 6 on
// the letter block, 7 to 14 on the number block; 0 when they are not
// neighbours.
func direction(p, q rune) int {
	if p >= 128 || q >= 128 || p == q {
		return 0
	}
	a, b := keys[p], keys[q]
	if a.y == 0 || b.y == 0 {
		return 0
	}
	dx, dy := b.x-a.x, b.y-a.y
	switch {
	case dy == 0 && dx == 3:
		return 1
	case dy == 0 && dx == -3:
		return 2
	case dy == 1 && 0 <= dx && dx <= 2:
		return 3 // down, to the right
	case dy == 1 && -3 < dx && dx < 0:
		return 4
	case dy == -1 && -2 <= dx && dx <= 0:
		return 5
	case dy == -1 && 0 < dx && dx < 3:
		return 6
	}
	if '1' <= p && p <= '9' && '1' <= q && q <= '9' {
		px, py := (p-'1')%3, (p-'1')/3
		qx, qy := (q-'1')%3, (q-'1')/3
		if dx, dy := qx-px, qy-py; -1 <= dx && dx <= 1 && -1 <= dy && dy <= 1 {
			return 8 + int(dx+1)*3 + int(dy+1)
		}
	}
	return 0
}

// patterns tries all that is recognised by rule at position i.
func (a *arena) patterns(m *Model, i int) {
	n := a.n
	if j := int(a.run[i]); j-i >= 3 {
		c := 1300 + 700*mil(a.turns[i]) + m.log(j-i)/2
		if a.upper[j] > a.upper[i] {
			c += capitals(int(a.upper[j]-a.upper[i]), j-i)
		}
		a.relax(i, j, c, KindKeyboard)
		if j-i > 3 {
			a.relax(i, j-1, c, KindKeyboard)
		}
	}
	if j := int(a.seq[i]); j-i >= 3 {
		s := step(a.low[i], a.low[i+1])
		c := m.log(j-i) + 1400
		switch a.low[i] {
		case 'a', 'z', '0', '1', '9':
			c = m.log(j-i) + 600
		}
		if s != 1 {
			c += 400
		}
		if class(a.low[i]) == 3 {
			c += 2000
		}
		a.relax(i, j, c, KindSequence)
		if j-i > 3 {
			a.relax(i, j-1, c, KindSequence)
		}
	}
	// What stands before i, again: p code points, as often as they come. Each
	// code point is compared once per period, however many starts share a run.
	for p := 1; p <= maxPeriod && p <= i; p++ {
		j := int(a.again[p-1])
		if j <= i {
			if a.steps++; a.low[i] != a.low[i-p] {
				continue
			}
			j = i + 1
			for j < n && a.low[j] == a.low[j-p] {
				j++
			}
			a.steps += j - i
			a.since[p-1], a.again[p-1], a.reach = uint16(i), uint16(j), max(a.reach, j)
		}
		if l := j - i; l >= p && l >= 2 {
			whole := i + l/p*p
			c := 300 + m.log(l/p+1)
			if up := int(a.upper[whole] - a.upper[i]); up > 0 {
				c += capitals(up, l)
			}
			a.relax(i, whole, c, KindRepeat)
			if whole < j {
				a.relax(i, j, c+300, KindRepeat)
			}
		}
	}
	if digit(a.low[i]) {
		a.digits(m, i)
	}
}

func digit(r rune) bool { return '0' <= r && r <= '9' }

// digitsAt tells whether k digits stand at i.
func (a *arena) digitsAt(i, k int) bool {
	if i+k > a.n {
		return false
	}
	for _, r := range a.low[i : i+k] {
		if !digit(r) {
			return false
		}
	}
	return true
}

// num reads k ≤ 9 digits at i, or returns -1.
func (a *arena) num(i, k int) int {
	if i+k > a.n {
		return -1
	}
	v := 0
	for _, r := range a.low[i : i+k] {
		if !digit(r) {
			return -1
		}
		v = 10*v + int(r-'0')
	}
	return v
}

func isMonth(m int) bool  { return 1 <= m && m <= 12 }
func isDay(d int) bool    { return 1 <= d && d <= 31 }
func isYear(y int) bool   { return 1900 <= y && y <= 2049 }
func recent(y int) bool   { return 1950 <= y && y <= 2029 }
func dayOf(m, d int) bool { return isMonth(m) && isDay(d) }

// Costs of what is recognised by rule. A year and a day have 366 days and some
// sixty likely years. The numbers that identify a person are rated as what
// they are, known to many: in no case as fair.
const (
	dayCost   mil = 2500
	yearCost  mil = 1800
	fullCost  mil = 4200
	phoneCost mil = 7500
	idCost    mil = 7900
)

// digits tries dates, years, mobile numbers and identity numbers at i.
func (a *arena) digits(m *Model, i int) {
	y4 := a.num(i, 4)
	if y4 < 0 {
		a.separated(i)
		return
	}
	hi, lo := y4/100, y4%100
	if isYear(y4) {
		c := yearCost
		if !recent(y4) {
			c += 400
		}
		a.relax(i, i+4, c, KindYear)
	}
	if dayOf(hi, lo) || dayOf(lo, hi) {
		a.relax(i, i+4, dayCost, KindDate)
	}
	if v := a.num(i, 6); v >= 0 {
		p, q, r := v/10000, v/100%100, v%100
		switch {
		case dayOf(q, r): // YYMMDD
			c := fullCost
			if 30 < p && p < 50 {
				c += 400
			}
			a.relax(i, i+6, c, KindDate)
		case dayOf(q, p) || dayOf(p, q): // DDMMYY, MMDDYY
			a.relax(i, i+6, fullCost+200, KindDate)
		}
		if recent(y4) && isMonth(r) {
			a.relax(i, i+6, yearCost+1100, KindDate)
		}
		if y := v % 10000; recent(y) && isMonth(p) {
			a.relax(i, i+6, yearCost+1200, KindDate)
		}
	}
	if v := a.num(i, 7); v >= 0 && recent(y4) {
		r := v % 1000
		if dayOf(r/100, r%100) || dayOf(r/10, r%10) {
			a.relax(i, i+7, fullCost+400, KindDate)
		}
	}
	if v := a.num(i, 8); v >= 0 {
		p, q, y := v/1000000, v/10000%100, v%10000
		switch {
		case isYear(y4) && dayOf(v/100%100, v%100):
			c := fullCost
			if !recent(y4) {
				c += 400
			}
			a.relax(i, i+8, c, KindDate)
		case isYear(y) && (dayOf(q, p) || dayOf(p, q)):
			a.relax(i, i+8, fullCost+200, KindDate)
		}
	}
	if a.isPhone(i) {
		a.relax(i, i+11, phoneCost, KindPhone)
	}
	if a.idNumber(m, i) {
		a.relax(i, i+18, idCost, KindIDNumber)
	}
	a.separated(i)
}

// idNumber tells whether a resident identity number begins at i: area code,
// date of birth, serial number and the check digit of ISO 7064 MOD 11-2.
func (a *arena) idNumber(m *Model, i int) bool {
	if i+18 > a.n || !isYear(a.num(i+6, 4)) || !dayOf(a.num(i+10, 2), a.num(i+12, 2)) {
		return false
	}
	if !a.digitsAt(i, 17) || !m.isArea(uint32(a.num(i, 6))) {
		return false
	}
	sum := 0
	for _, r := range a.low[i : i+17] {
		sum = (sum + int(r-'0')) * 2 % 11
	}
	check := (12 - sum) % 11
	if check == 10 {
		return a.low[i+17] == 'x'
	}
	return a.low[i+17] == rune('0'+check)
}

// separated tries a date with separators at i: up to three numbers with the
// same sign between them, or Chinese dates with 年, 月, 日.
func (a *arena) separated(i int) {
	var v, w [3]int
	j, k := i, 0
	var sep rune
	for k < 3 {
		x, d := 0, 0
		for j < a.n && d < 4 && digit(a.low[j]) {
			x = 10*x + int(a.low[j]-'0')
			j++
			d++
		}
		if d == 0 {
			return
		}
		v[k], w[k] = x, d
		k++
		if j >= a.n {
			break
		}
		if r := a.low[j]; k < 3 && r == '年' && k == 1 || r == '月' && k == 2 {
			sep = '年'
			j++
			continue
		}
		if k == 3 || !isSeparator(a.low[j]) || sep != 0 && a.low[j] != sep {
			break
		}
		sep = a.low[j]
		j++
	}
	if k < 3 || sep == 0 {
		return
	}
	if sep == '年' && j < a.n && a.low[j] == '日' {
		j++
	}
	ymd := (w[0] == 4 && isYear(v[0]) || w[0] == 2) && w[1] <= 2 && w[2] <= 2 && dayOf(v[1], v[2])
	dmy := (w[2] == 4 && isYear(v[2]) || w[2] == 2) && w[0] <= 2 && w[1] <= 2 && (dayOf(v[1], v[0]) || dayOf(v[0], v[1]))
	if ymd || dmy {
		a.relax(i, j, fullCost+500, KindDate)
	}
}

func isSeparator(r rune) bool {
	switch r {
	case '-', '/', '.', '_', ' ', '\\', ':':
		return true
	}
	return false
}

// namePhone makes eleven digits that stand alone and look like a mobile number
// one segment, also when a sequence or a date within them made another cover
// cheaper: the estimate is that of the cover, the explanation is the number.
func (a *arena) namePhone(e *Estimate) {
	for from := range int(e.nspans) {
		i := int(e.spans[from].start)
		if i > 0 && digit(a.low[i-1]) || i+11 < a.n && digit(a.low[i+11]) || !a.isPhone(i) {
			continue
		}
		to := from
		for to < int(e.nspans) && int(e.spans[to].end) < i+11 {
			to++
		}
		if to < int(e.nspans) && int(e.spans[to].end) == i+11 {
			e.spans[from] = span{KindPhone, false, uint16(i), uint16(i + 11)}
			n := copy(e.spans[from+1:], e.spans[to+1:e.nspans])
			e.nspans = uint8(from + 1 + n)
			return
		}
	}
}

// isPhone tells whether the eleven code points at i can be a mobile number of
// mainland China.
func (a *arena) isPhone(i int) bool {
	return a.digitsAt(i, 11) && a.low[i] == '1' && a.low[i+1] >= '3'
}
