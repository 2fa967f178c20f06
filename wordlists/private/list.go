// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package private

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/cloudflare/circl/oprf"
)

// Key is the secret of a list. Whoever has it can try passwords on the list's
// file.
type Key struct{ k *oprf.PrivateKey }

// NewKey makes a key.
func NewKey() (*Key, error) {
	k, err := oprf.GenerateKey(suite, rand.Reader)
	if err != nil {
		return nil, err
	}
	return usable(k), nil
}

// usable computes the public key at once: circl keeps it from the first time it
// is asked for, without a lock.
func usable(k *oprf.PrivateKey) *Key {
	k.Public()
	return &Key{k}
}

// ParseKey reads what Text writes.
func ParseKey(text []byte) (*Key, error) {
	b, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(b) != 32 {
		return nil, fmt.Errorf("%w: not 64 hexadecimal digits", ErrKey)
	}
	k := new(oprf.PrivateKey)
	if k.UnmarshalBinary(suite, b) != nil {
		return nil, fmt.Errorf("%w: not a number of the group", ErrKey)
	}
	return usable(k), nil
}

// Text gives the key as a line of hexadecimal digits.
func (k *Key) Text() []byte {
	b, err := k.k.MarshalBinary()
	if err != nil {
		panic(err) // unreachable: a number of a fixed length
	}
	return append(hex.AppendEncode(nil, b), '\n')
}

// Format keeps the key out of every printed form.
func (k *Key) Format(f fmt.State, _ rune) { io.WriteString(f, "[key]") }

func (k *Key) public() []byte {
	b, err := k.k.Public().MarshalBinary()
	if err != nil {
		panic(err) // unreachable, as above
	}
	return b
}

// List answers questions. It is in memory as a whole, and safe for concurrent
// use.
type List struct {
	*Header
	server  oprf.VerifiableServer
	buckets []byte
	tree    [][sha256.Size]byte // tree[1] is the root, tree[i] has children 2i and 2i+1
}

// Open reads a list and checks every byte of it.
func Open(path string, key *Key) (*List, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var head [HeaderSize]byte
	if _, err := io.ReadFull(f, head[:]); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, ErrFormat
	} else if err != nil {
		return nil, err
	}
	h, err := parseHeader(head[:])
	if err != nil {
		return nil, err
	}
	if string(key.public()) != string(head[24:24+ElementSize]) {
		return nil, ErrKey
	}
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st.Size() != h.size() {
		return nil, ErrCorrupt
	}
	l := &List{Header: h, server: oprf.NewVerifiableServer(suite, key.k), buckets: make([]byte, h.size()-HeaderSize)}
	if _, err := io.ReadFull(f, l.buckets); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if l.tree = tree(l.buckets, h.Bits); l.tree[1] != h.root {
		return nil, ErrCorrupt
	}
	return l, nil
}

func tree(buckets []byte, bits int) [][sha256.Size]byte {
	n := 1 << bits
	size := len(buckets) / n
	t := make([][sha256.Size]byte, 2*n)
	for i := range n {
		t[n+i] = leaf(uint32(i), buckets[i*size:(i+1)*size])
	}
	for i := n - 1; i > 0; i-- {
		t[i] = node(t[2*i], t[2*i+1])
	}
	return t
}

// Read gives a bucket, with the hashes that lead from it to the root. The
// caller must not change the records.
func (l *List) Read(id uint32) (records []byte, path [][]byte, err error) {
	if uint64(id) >= 1<<l.Bits {
		return nil, nil, ErrBucket
	}
	size := l.BucketSize()
	records = l.buckets[int(id)*size:][:size:size]
	for i := int(id) + 1<<l.Bits; i > 1; i /= 2 {
		path = append(path, l.tree[i^1][:])
	}
	return records, path, nil
}

// Evaluate raises the elements of a question to the key, and proves it. Nothing
// is computed unless all of them are in order.
func (l *List) Evaluate(elements [][]byte) (evaluated [][]byte, proof []byte, err error) {
	points, err := decode(elements)
	if err != nil {
		return nil, nil, err
	}
	e, err := l.server.Evaluate(&oprf.EvaluationRequest{Elements: points})
	if err != nil {
		return nil, nil, err
	}
	if evaluated, err = encode(e.Elements); err != nil {
		return nil, nil, err
	}
	proof, err = e.Proof.MarshalBinary()
	return evaluated, proof, err
}
