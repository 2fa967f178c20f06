// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package password

import (
	"context"
	"errors"
	"time"
)

// Guessed is what came of a Guess.
type Guessed struct {
	// Tried is how many texts were hashed, and Hit the index of the one that
	// matched, -1 if none did.
	Tried int
	Hit   int
	// Took is how long the slot was busy.
	Took time.Duration
}

// guessTurn is how long a Guess keeps its slot before others have a turn: a
// login that finds every slot busy waits no longer than this and one hash. A
// single hash that takes longer is run by itself.
const guessTurn = 10 * time.Millisecond

// Guess tries texts against one stored hash, in their order and up to the
// first that matches. It takes a slot again and again, for guessTurn at a time,
// so that cheap hashes are not dominated by the hand-over. Its errors are those
// of Verify; what was tried before an error is counted.
func (h *Hasher) Guess(ctx context.Context, c Class, texts []Text, encoded string) (Guessed, error) {
	out := Guessed{Hit: -1}
	s, l, err := h.read(encoded)
	if err != nil {
		return out, err
	}
	for len(texts) > out.Tried && out.Hit < 0 {
		g := &guessing{stored: s, texts: texts[out.Tried:], unit: l.units}
		g.job = job{class: c, password: g.texts[0], scheme: s.info().Scheme, load: l, task: g}
		err := h.do(ctx, &g.job)
		if errors.Is(err, ErrAbandoned) {
			return out, err // the run may still be going on: g is not ours
		}
		out.Took += g.took
		if g.hit {
			out.Hit = out.Tried + g.tried - 1
		}
		out.Tried += g.tried
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

// guessing is the job of one turn of Guess.
type guessing struct {
	job
	stored
	texts []Text
	unit  float64 // of load, for one text
	tried int
	hit   bool
	took  time.Duration
}

func (g *guessing) run(w *slot) (err error) {
	begin := time.Now()
	for i, t := range g.texts {
		if i > 0 {
			if t.IsZero() {
				return ErrEmpty
			}
			clear(w.password)
			w.keep(t.Reveal())
		}
		g.tried++
		if g.hit, err = g.stored.match(w); err != nil || g.hit {
			break
		}
		// The clock costs as much as a bare digest: it is asked now and then.
		if g.took = time.Since(begin); g.took > guessTurn || g.ctx.Err() != nil {
			break
		}
	}
	g.took = time.Since(begin)
	g.job.load.units = g.unit * float64(g.tried) // what the speed is learnt from
	return err
}

// Bare gives the scheme and tag of a hash that is one digest of the password
// and nothing else: equal passwords have equal tags, so that many of them can
// be looked up at once. ok is false for every other hash.
func Bare(encoded string) (s Scheme, tag []byte, ok bool) {
	h, err := parse(encoded)
	if err != nil {
		return "", nil, false
	}
	switch h := h.(type) {
	case *ntlmHash:
		return NTLM, h.tag, true
	case *bareDigest:
		if h.form == digestPlain {
			return hashSchemes[h.hash], h.tag, true
		}
	}
	return "", nil, false
}

// BareTag gives the tag that Bare finds in the hash of t under one of its
// schemes. It panics for any other scheme.
func BareTag(s Scheme, t Text) []byte {
	plain := t.Reveal()
	if s == NTLM {
		tag, _ := (&ntlmHash{}).derive(plain)
		return tag
	}
	for n, name := range hashSchemes {
		if name == s {
			h := hashNew[n]()
			h.Write(plain)
			return h.Sum(nil)
		}
	}
	panic("password: no bare digest: " + string(s))
}
