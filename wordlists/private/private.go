// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Package private asks a list of passwords whether one of them, or a near
// variant, is on it, across a border of trust: whoever asks does not show the
// password, and whoever answers does not give the list away.
//
// It is an oblivious pseudorandom function with proofs, the VOPRF of RFC 9497
// over ristretto255 with SHA-512. [Build] replaces each listed password by the
// first 64 bits of what the function gives for it under a [Key]. One who asks
// blinds the password and up to 31 of its likeliest variants
// ([wordlists.Tweaks]) with fresh random numbers ([Asker.Ask]); the one who
// answers raises all 32 to the key, with one proof that it was that key
// ([List.Evaluate]); the one who asked checks the proof, takes the blinds off
// and looks in one bucket of the list ([Question.Finish]).
//
// Bucket and function are asked for apart. A bucket is chosen by the stem of the
// password ([wordlists.AppendStem]), which the variants share, and so may be
// kept by the one who asks for as long as the version stands. The version of a
// list is the SHA-256 of its header, which holds the public key and the root of
// a hash tree over the buckets. One who asks knows it beforehand: it is the pin
// against which key, proof and bucket are held, so that nobody can be served a
// key or a list of their own and be told from others by it.
//
// # What is told
//
// The one who answers learns who asks and when, and from a bucket that was not
// at hand yet the first bits of the hash of the first four characters: as many as
// [Header.Bits], none at all for a list of one bucket. A bucket has on average
// at least [DefaultBucket] records. That is less than the 20 bits of the hash of
// the whole password that a range look-up tells, but it is not nothing: a few
// popular passwords are most of what a bucket's popularity is made of. Elements
// are uniform and always 32, records are padded with random ones until all
// buckets have the same length, so that lengths tell nothing to whoever watches
// the line.
//
// The one who asks learns 32 times a check whether a guess is on the list, and
// how many records it has. Without the key a record cannot be told from a random
// number, so that nothing is to be tried out on a bucket, or on a stolen file;
// but a rate of checks is a rate of guesses, and has to be limited. A list whose
// key is stolen with it is no better than one of plain SHA-512.
//
// # What is not detected
//
// A list that leaves out what it should have: the version vouches for being the
// same list for everybody, not for being complete. About one in eleven variants
// begins otherwise than the password; it lies in another bucket and is not asked
// for. Of passwords that are not listed, one in 2^59 divided by the records of a
// bucket is taken for one that is, or is near to one.
//
// Records are made from plaintext: a digest of a password tells neither stem nor
// variants, and a private form of a corpus of SHA-1 or NTLM digests would be a
// list without them. Those corpora have the range form.
//
// # Format
//
// A list is a file: a header of 128 bytes, and 2^bits buckets of the same number
// of slots. All integers are little-endian but records, which are big-endian and
// ascend within their bucket.
//
//	 0   8  magic "WWPR\r\n\x1a\n"        24  32  public key
//	 8   2  version of the format, 1      56  32  root of the buckets
//	10   1  suite: 1                      88   8  time of the build, Unix seconds
//	11   1  bits                          96  28  zeros
//	12   4  slots in a bucket            124   4  CRC-32C of the bytes before
//	16   8  records that are no padding
//	128     buckets
//
// A leaf of the tree is SHA-256(0, number of the bucket in 4 bytes, bucket), an
// inner node is SHA-256(1, left, right). Opening a list computes the root again,
// so that it is read to its last byte before anything is answered from it.
package private

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/cloudflare/circl/oprf"
	"golang.org/x/text/unicode/norm"

	"github.com/watchword-project/watchword/wordlists"
)

const (
	// Elements is how many blinded elements a check has.
	Elements = 32
	// ElementSize and ProofSize are the lengths of an element and of a proof in
	// bytes.
	ElementSize = 32
	ProofSize   = 64
	// HeaderSize is the length of a header in bytes.
	HeaderSize = 128
	// MaxPassword bounds a password in bytes of its NFC form.
	MaxPassword = 4096

	maxBits    = 20
	maxSlots   = 1 << 17 // a bucket of 1 MiB
	recordSize = 8
	maxFile    = 1 << 30

	format  = 1
	suiteID = 1
)

var (
	suite    = oprf.SuiteRistretto255
	magic    = []byte("WWPR\r\n\x1a\n")
	checksum = crc32.MakeTable(crc32.Castagnoli)
)

// Errors of lists.
var (
	// ErrFormat is returned for what is not a list, or one of an unknown format.
	ErrFormat = errors.New("not a private list of a known format")
	// ErrCorrupt is returned for a list that is cut short or altered.
	ErrCorrupt = errors.New("private list is damaged")
	// ErrKey is returned for a key that is none, and by Open for one that is not
	// the list's.
	ErrKey = errors.New("not the key of the private list")
)

// Errors of questions and answers.
var (
	// ErrPassword is returned for a password that is empty, not UTF-8 or longer
	// than MaxPassword.
	ErrPassword = errors.New("empty, not UTF-8, or too long")
	// ErrVersion is returned for a header that is not that of the version asked
	// for.
	ErrVersion = errors.New("not the version of the private list that was asked for")
	// ErrCount is returned for any other number of elements than Elements.
	ErrCount = fmt.Errorf("not %d elements", Elements)
	// ErrElement is returned for an element that is not the one encoding of a
	// point of the group other than its identity.
	ErrElement = errors.New("an element is not a point of the group")
	// ErrProof is returned for an answer that the key of the list did not give to
	// this very question: one of another key, an altered or a replayed one.
	ErrProof = errors.New("the proof is not one of the list's key for this question")
	// ErrBucket is returned for a bucket that is not the one asked for, or is cut
	// short or altered.
	ErrBucket = errors.New("not the bucket that was asked for")
)

// Version names a list: the SHA-256 of its header.
type Version [sha256.Size]byte

// ParseVersion reads what String writes.
func ParseVersion(s string) (v Version, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(v) {
		return v, errors.New("the version of a private list has 64 hexadecimal digits")
	}
	return Version(b), nil
}

// String gives 64 hexadecimal digits.
func (v Version) String() string { return hex.EncodeToString(v[:]) }

// Header describes a list.
type Header struct {
	// Bits is how much of a hash chooses a bucket.
	Bits int
	// Slots is how many records, with padding, a bucket has.
	Slots int
	// Records is how many passwords are listed.
	Records uint64
	// Built is when the list was made.
	Built time.Time

	key  oprf.PublicKey
	root [sha256.Size]byte
	raw  [HeaderSize]byte
}

// ParseHeader reads the header of a version that the caller knows.
func ParseHeader(b []byte, want Version) (*Header, error) {
	if sha256.Sum256(b) != want {
		return nil, ErrVersion
	}
	return parseHeader(b)
}

func parseHeader(b []byte) (*Header, error) {
	if len(b) < HeaderSize || !bytes.Equal(b[:8], magic) || binary.LittleEndian.Uint16(b[8:]) != format || b[10] != suiteID {
		return nil, ErrFormat
	}
	if crc32.Checksum(b[:124], checksum) != binary.LittleEndian.Uint32(b[124:]) || len(b) != HeaderSize {
		return nil, ErrCorrupt
	}
	h := &Header{Bits: int(b[11]), Slots: int(binary.LittleEndian.Uint32(b[12:])), Records: binary.LittleEndian.Uint64(b[16:]),
		Built: time.Unix(int64(binary.LittleEndian.Uint64(b[88:])), 0), root: [sha256.Size]byte(b[56:]), raw: [HeaderSize]byte(b)}
	if h.Bits > maxBits || h.Slots < 1 || h.Slots > maxSlots || h.size() > maxFile || bytes.ContainsFunc(b[96:124], func(r rune) bool { return r != 0 }) {
		return nil, ErrFormat
	}
	if canonical(b[24:24+ElementSize]) == nil || h.key.UnmarshalBinary(suite, b[24:24+ElementSize]) != nil {
		return nil, ErrKey
	}
	return h, nil
}

// Bytes gives the header as ParseHeader reads it.
func (h *Header) Bytes() []byte { return slices.Clone(h.raw[:]) }

// Version names the list.
func (h *Header) Version() Version { return sha256.Sum256(h.raw[:]) }

// BucketSize is the length of every bucket in bytes.
func (h *Header) BucketSize() int { return h.Slots * recordSize }

// size is the length of the file.
func (h *Header) size() int64 { return HeaderSize + int64(h.BucketSize())<<h.Bits }

// bucketOf gives the number of a bucket from the hash of a stem.
func bucketOf(hash uint32, bits int) uint32 { return uint32(uint64(hash) >> (32 - bits)) }

// stemHash is what chooses the bucket of a password.
func stemHash(pw []byte) uint32 {
	sum := sha256.Sum256(wordlists.AppendStem([]byte("watchword private bucket\x00"), pw))
	return binary.BigEndian.Uint32(sum[:])
}

// record is what stands in a list for an output of the function.
func record(output []byte) uint64 { return binary.BigEndian.Uint64(output) }

// normal gives a password in NFC, the form in which passwords are listed and
// asked for.
func normal(pw []byte) ([]byte, error) {
	if len(pw) == 0 || len(pw) > 4*MaxPassword || !utf8.Valid(pw) {
		return nil, ErrPassword
	}
	pw = norm.NFC.Append(nil, pw...)
	if len(pw) > MaxPassword {
		clear(pw)
		return nil, ErrPassword
	}
	return pw, nil
}

// leaf and node are the hashes of the tree over the buckets.
func leaf(id uint32, bucket []byte) (sum [sha256.Size]byte) {
	h := sha256.New()
	h.Write(binary.LittleEndian.AppendUint32([]byte{0}, id))
	h.Write(bucket)
	h.Sum(sum[:0])
	return sum
}

func node(left, right [sha256.Size]byte) [sha256.Size]byte {
	b := append([]byte{1}, left[:]...)
	return sha256.Sum256(append(b, right[:]...))
}

// Bucket is one bucket of a list, held against its version.
type Bucket struct {
	id      uint32
	list    *Header
	records []byte
}

// Bucket takes a bucket that came from elsewhere, with the hashes that lead from
// it to the root of the list. The records are kept.
func (h *Header) Bucket(id uint32, records []byte, path [][]byte) (*Bucket, error) {
	if len(records) != h.BucketSize() || len(path) != h.Bits || uint64(id) >= 1<<h.Bits {
		return nil, ErrBucket
	}
	sum := leaf(id, records)
	for i, side := range path {
		if len(side) != sha256.Size {
			return nil, ErrBucket
		}
		if id>>i&1 == 0 {
			sum = node(sum, [sha256.Size]byte(side))
		} else {
			sum = node([sha256.Size]byte(side), sum)
		}
	}
	if sum != h.root {
		return nil, ErrBucket
	}
	return &Bucket{id, h, records}, nil
}

// has reports whether a record is in the bucket.
func (b *Bucket) has(r uint64) bool {
	lo, hi := 0, len(b.records)/recordSize
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		switch got := binary.BigEndian.Uint64(b.records[mid*recordSize:]); {
		case got == r:
			return true
		case got < r:
			lo = mid + 1
		default:
			hi = mid
		}
	}
	return false
}
