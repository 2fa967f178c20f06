// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package throttle

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"

	"github.com/watchword-project/watchword/server/internal/mac"
)

// Keys are the secrets of a Limiter. Names decide which lanes an attempt falls
// on and must live as long as the state does, on every server that shares it;
// Tokens sign what is handed out, the first one new tokens, the others only
// those that are still about.
type Keys struct {
	Names  []byte   // at least 32 bytes
	Tokens [][]byte // 1 to 8 keys of at least 32 bytes, or none to derive one from Names
}

// keyring is Keys made ready.
type keyring struct {
	names [32]byte
	tags  [32]byte
	sign  []*mac.Key // newest first
	id    []byte     // the first byte of a digest of each, to choose by
}

func newKeyring(k Keys) (*keyring, error) {
	if len(k.Names) < 32 || len(k.Tokens) > 8 {
		return nil, errors.New("throttle: the name key needs 32 bytes or more, and at most 8 token keys go with it")
	}
	ring := &keyring{}
	for label, into := range map[string]*[32]byte{"names": &ring.names, "tags": &ring.tags} {
		b, err := hkdf.Key(sha256.New, k.Names, nil, "watchword throttle "+label, 32)
		if err != nil {
			return nil, err
		}
		copy(into[:], b)
	}
	tokens := k.Tokens
	if len(tokens) == 0 {
		tokens = [][]byte{k.Names}
	}
	for _, t := range tokens {
		if len(t) < 32 {
			return nil, errors.New("throttle: a token key needs 32 bytes or more")
		}
		b, err := hkdf.Key(sha256.New, t, nil, "watchword throttle tokens", 32)
		if err != nil {
			return nil, err
		}
		ring.sign = append(ring.sign, mac.NewKey(b))
		id := sha256.Sum256(append([]byte("key id"), b...))
		ring.id = append(ring.id, id[0])
	}
	return ring, nil
}

// lane kinds, the first byte of what a name is a digest of.
const (
	ofSubject = iota + 1
	ofPair
	ofAddress
	ofTag
	ofTenant
)

// tenant returns the key of a tenant's names. Tenants share no lanes.
func (r *keyring) tenant(name string) (k [32]byte) {
	var b [32 + 1 + 255]byte
	n := copy(b[:], r.names[:])
	b[n] = ofTenant
	n++
	n += copy(b[n:], name)
	return sha256.Sum256(b[:n])
}

// name is SHA-256 over a secret prefix and a message of fixed length, cut to
// half: one compression, and a MAC as long as the length never varies.
func name(tenant *[32]byte, kind byte, msg ...byte) Name {
	var b [55]byte
	copy(b[:24], tenant[:24])
	b[24] = kind
	if copy(b[25:], msg) < len(msg) {
		panic("throttle: name over its block")
	}
	sum := sha256.Sum256(b[:])
	return Name(sum[:16])
}

// tag cuts a guess to 16 bits under the key of the day. Sixteen bits of a
// secret digest are too few to test a guess against, even for a thief of the
// key: one password in 65,536 fits.
func (r *keyring) tag(tenant *[32]byte, subject *[16]byte, c Channel, guess []byte, now int64) uint16 {
	var b [32 + 8 + 24 + 16 + 2 + 32]byte
	copy(b[:], r.tags[:])
	binary.LittleEndian.PutUint64(b[32:], uint64(now/tagLife))
	copy(b[40:], tenant[:24])
	copy(b[64:], subject[:])
	b[80], b[81] = byte(c), byte(len(guess))
	copy(b[82:], guess)
	sum := sha256.Sum256(b[:])
	return binary.LittleEndian.Uint16(sum[:])
}

// spray is a digest of the guess alone, the same for all subjects of a tenant,
// under a key that changes every day. It is never kept on disk.
func (r *keyring) spray(tenant *[32]byte, c Channel, guess []byte, epoch int64) uint32 {
	var b [32 + 8 + 24 + 2 + 32]byte
	copy(b[:], r.tags[:])
	binary.LittleEndian.PutUint64(b[32:], uint64(epoch))
	copy(b[40:], tenant[:24])
	b[64], b[65] = byte(c)|0x80, byte(len(guess))
	copy(b[66:], guess)
	sum := sha256.Sum256(b[:])
	return max(1, binary.LittleEndian.Uint32(sum[:]))
}

// reservation is what an attempt token says.
//
//	u8 version 1 | u8 key | u8 flags | u8 channel | 12 nonce | u64 at | u16 tag |
//	16 subject | u32 device | u32 spray | 16 pair | 3 × 16 address | 16 MAC
//
// in base64url without padding. The MAC is HMAC-SHA-256 over "attempt", the
// tenant's key and everything before it, cut to 16 bytes.
type reservation struct {
	channel Channel
	kind    Kind
	tagged  bool
	known   bool
	local   bool // made by the local limiter while the shared store was lost
	v6      bool
	booked  bool // on the tenant's lane
	nonce   [12]byte
	at      int64
	tag     uint16
	subject [16]byte
	device  uint32
	spray   uint32 // digest of the guess alone, for the sketches; 0: none
	pair    Name
	address [3]Name
}

const (
	tokenVersion = 1
	attemptSize  = 4 + 12 + 8 + 2 + 16 + 4 + 4 + 16 + 48 + macSize
	deviceSize   = 2 + 4 + 2 + macSize
	macSize      = 16
)

func flag(on bool, bit byte) byte {
	if on {
		return bit
	}
	return 0
}

func (r *keyring) sealAttempt(tenant *[32]byte, x *reservation) string {
	var raw [attemptSize]byte
	b := append(raw[:0], tokenVersion, r.id[0],
		byte(x.kind)|flag(x.tagged, 4)|flag(x.known, 8)|flag(x.local, 16)|flag(x.v6, 32)|flag(x.booked, 64), byte(x.channel))
	b = append(b, x.nonce[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(x.at))
	b = binary.LittleEndian.AppendUint16(b, x.tag)
	b = append(b, x.subject[:]...)
	b = binary.LittleEndian.AppendUint32(b, x.device)
	b = binary.LittleEndian.AppendUint32(b, x.spray)
	b = append(b, x.pair[:]...)
	for i := range x.address {
		b = append(b, x.address[i][:]...)
	}
	sum := r.sign[0].Sum([]byte("attempt"), tenant[:], b)
	var token [2 * attemptSize]byte
	return string(base64.RawURLEncoding.AppendEncode(token[:0], append(b, sum[:macSize]...)))
}

// open decodes a token of the given size and checks its MAC.
func (r *keyring) open(label string, tenant *[32]byte, token string, size int, into []byte, extra []byte) bool {
	if len(token) != base64.RawURLEncoding.EncodedLen(size) {
		return false
	}
	n, err := base64.RawURLEncoding.Strict().Decode(into, []byte(token))
	if err != nil || n != size || into[0] != tokenVersion {
		return false
	}
	body := into[:size-macSize]
	for i, id := range r.id {
		if id == into[1] {
			sum := r.sign[i].Sum([]byte(label), tenant[:], extra, body)
			if hmac.Equal(sum[:macSize], into[size-macSize:size]) {
				return true
			}
		}
	}
	return false
}

func (r *keyring) openAttempt(tenant *[32]byte, token string) (x reservation, ok bool) {
	var raw [attemptSize]byte
	if !r.open("attempt", tenant, token, attemptSize, raw[:], nil) {
		return reservation{}, false
	}
	b := raw[:]
	f := b[2]
	x = reservation{
		channel: Channel(b[3]), kind: Kind(f & 3),
		tagged: f&4 != 0, known: f&8 != 0, local: f&16 != 0, v6: f&32 != 0, booked: f&64 != 0,
		at:     int64(binary.LittleEndian.Uint64(b[16:])),
		tag:    binary.LittleEndian.Uint16(b[24:]),
		device: binary.LittleEndian.Uint32(b[42:]),
		spray:  binary.LittleEndian.Uint32(b[46:]),
	}
	copy(x.nonce[:], b[4:])
	copy(x.subject[:], b[26:])
	copy(x.pair[:], b[50:])
	for i := range x.address {
		copy(x.address[i][:], b[66+16*i:])
	}
	return x, x.channel < channels && x.kind >= Charged && x.kind <= Known
}

// A device token is
//
//	u8 version 1 | u8 key | u32 device | u16 last day | 16 MAC
//
// in base64url; the MAC covers "device", the tenant's key and the subject too.
func (r *keyring) sealDevice(tenant *[32]byte, subject *[16]byte, id uint32, until uint16) string {
	var raw [deviceSize]byte
	b := append(raw[:0], tokenVersion, r.id[0])
	b = binary.LittleEndian.AppendUint32(b, id)
	b = binary.LittleEndian.AppendUint16(b, until)
	sum := r.sign[0].Sum([]byte("device"), tenant[:], subject[:], b)
	return base64.RawURLEncoding.EncodeToString(append(b, sum[:macSize]...))
}

// openDevice returns the number of the device, or 0 if the token is not a
// valid one of this subject.
func (r *keyring) openDevice(tenant *[32]byte, subject *[16]byte, token string, now int64) uint32 {
	var raw [deviceSize]byte
	if !r.open("device", tenant, token, deviceSize, raw[:], subject[:]) {
		return 0
	}
	if binary.LittleEndian.Uint16(raw[6:]) < day(now) {
		return 0
	}
	return binary.LittleEndian.Uint32(raw[2:])
}
