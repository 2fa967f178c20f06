// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package private

import (
	"bytes"
	"crypto/rand"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/oprf"
	"github.com/cloudflare/circl/zk/dleq"

	"github.com/watchword-project/watchword/wordlists"
)

// Asker asks one list. It is safe for concurrent use.
type Asker struct {
	list   *Header
	client oprf.VerifiableClient
}

// NewAsker makes an asker of the list that a header describes.
func NewAsker(h *Header) *Asker { return &Asker{h, oprf.NewVerifiableClient(suite, &h.key)} }

// Question is one password on its way.
type Question struct {
	// Bucket is the number of the bucket that the answer is looked up in.
	Bucket uint32
	// Elements go to the list's Evaluate.
	Elements [][]byte

	asker  *Asker
	blinds *oprf.FinalizeData
	inputs [][]byte // the password, then variants, then random ones
	asked  int      // how many of them are no random ones
}

// Result is what became of a question.
type Result struct {
	// Found tells that the password is listed.
	Found bool
	// Similar tells that a near variant is listed.
	Similar bool
}

// Ask blinds a password and as many of its variants as lie in its bucket, up to
// Elements in all; random elements make up for those that are missing.
func (a *Asker) Ask(pw []byte) (*Question, error) {
	pw, err := normal(pw)
	if err != nil {
		return nil, err
	}
	inputs := append(make([][]byte, 0, Elements), pw)
	hash := bucketOf(stemHash(pw), a.list.Bits)
	for tweak := range wordlists.Tweaks(pw, wordlists.MaxTweaks) {
		if len(tweak) <= MaxPassword && bucketOf(stemHash(tweak), a.list.Bits) == hash {
			if inputs = append(inputs, bytes.Clone(tweak)); len(inputs) == Elements {
				break
			}
		}
	}
	q := &Question{Bucket: hash, asker: a, asked: len(inputs)}
	for len(inputs) < Elements {
		filler := make([]byte, ElementSize)
		rand.Read(filler) // never fails: crypto/rand ends the program instead
		inputs = append(inputs, filler)
	}
	blinds, request, err := a.client.Blind(inputs)
	if err != nil {
		return nil, err // a blind or a point of the password was zero: unreachable
	}
	q.blinds, q.inputs = blinds, inputs
	q.Elements, err = encode(request.Elements)
	return q, err
}

// Finish reads the answer of the list's Evaluate and looks it up in the bucket.
// An answer that is not one of the list's key to this question is an error, and
// so is any other bucket than that of the question: nothing is known of the
// password then.
func (q *Question) Finish(elements [][]byte, proof []byte, bucket *Bucket) (Result, error) {
	if bucket == nil || bucket.list.raw != q.asker.list.raw || bucket.id != q.Bucket {
		return Result{}, ErrBucket
	}
	points, err := decode(elements)
	if err != nil {
		return Result{}, err
	}
	answer := &oprf.Evaluation{Elements: points, Proof: new(dleq.Proof)}
	if len(proof) != ProofSize || answer.Proof.UnmarshalBinary(suite.Group(), proof) != nil {
		return Result{}, ErrProof
	}
	outputs, err := q.asker.client.Finalize(q.blinds, answer)
	if err != nil {
		return Result{}, ErrProof
	}
	return q.look(outputs, bucket), nil
}

// Forget overwrites the password and its variants. The question is not to be
// used again.
func (q *Question) Forget() {
	for _, input := range q.inputs {
		clear(input)
	}
}

// look looks the outputs up, of which the first is that of the password itself.
func (q *Question) look(outputs [][]byte, bucket *Bucket) (r Result) {
	for i, output := range outputs[:q.asked] {
		if bucket.has(record(output)) {
			r.Found = r.Found || i == 0
			r.Similar = r.Similar || i > 0
		}
	}
	return r
}

func encode(points []group.Element) (out [][]byte, err error) {
	out = make([][]byte, len(points))
	for i, p := range points {
		if out[i], err = p.MarshalBinaryCompress(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// decode reads all elements of one side, or none.
func decode(elements [][]byte) ([]group.Element, error) {
	if len(elements) != Elements {
		return nil, ErrCount
	}
	out := make([]group.Element, Elements)
	for i, e := range elements {
		if out[i] = canonical(e); out[i] == nil {
			return nil, ErrElement
		}
	}
	return out, nil
}

// canonical reads an element. It is nil for one that is malformed, the
// identity, or not written in the one way that RFC 9496 allows.
func canonical(b []byte) group.Element {
	if len(b) != ElementSize {
		return nil
	}
	e := suite.Group().NewElement()
	if e.UnmarshalBinary(b) != nil || e.IsIdentity() {
		return nil
	}
	if again, err := e.MarshalBinaryCompress(); err != nil || !bytes.Equal(again, b) {
		return nil
	}
	return e
}
