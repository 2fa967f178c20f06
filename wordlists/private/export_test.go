// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package private

import (
	"crypto/sha512"
	"encoding/binary"
)

// Parse reads a header of any version.
var Parse = parseHeader

// Bucket gives the number of the bucket of a password in NFC.
func (a *Asker) Bucket(pw []byte) uint32 { return bucketOf(stemHash(pw), a.list.Bits) }

// FinishUnverified is Finish as it would be without its check of the proof: the
// blinds are taken off, and RFC 9497, 3.3.1, gives the outputs.
func FinishUnverified(q *Question, elements [][]byte, bucket *Bucket) (Result, error) {
	points, err := decode(elements)
	if err != nil {
		return Result{}, err
	}
	var outputs [][]byte
	for i, blind := range q.blinds.CopyBlinds() {
		u, err := suite.Group().NewElement().Mul(points[i], suite.Group().NewScalar().Inv(blind)).MarshalBinaryCompress()
		if err != nil {
			return Result{}, err
		}
		input := q.inputs[i]
		b := append(binary.BigEndian.AppendUint16(nil, uint16(len(input))), input...)
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(u))), u...)
		sum := sha512.Sum512(append(b, "Finalize"...))
		outputs = append(outputs, sum[:])
	}
	return q.look(outputs, bucket), nil
}
