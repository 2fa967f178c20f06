// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package argon2_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	xcrypto "golang.org/x/crypto/argon2"

	"github.com/watchword-project/watchword/server/internal/argon2"
)

func TestRFCVectors(t *testing.T) {
	for _, c := range cores(t) {
		m := newMemory(t, c, 32)
		for _, v := range []struct {
			typ  argon2.Type
			want string
		}{
			{argon2.D, "512b391b6f1162975371d30919734294f868e3be3984f3c1a13a4db9fabe4acb"},  // §5.1
			{argon2.I, "c814d9d1dc7f37aa13f0d77f2494bda1c8de6b016dd388d29952a4c4672b6ce8"},  // §5.2
			{argon2.ID, "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659"}, // §5.3
		} {
			got := key(t, m, strings.Repeat("\x01", 32), strings.Repeat("\x02", 16), argon2.Params{
				Type: v.typ, Version: argon2.Version13, Time: 3, Memory: 32, Parallelism: 4, KeyLen: 32,
				Secret: bytes.Repeat([]byte{3}, 8), Data: bytes.Repeat([]byte{4}, 12),
			})
			if hex.EncodeToString(got) != v.want {
				t.Errorf("%s: type %d: tag %x, want %s", c.Kernel(), v.typ, got, v.want)
			}
		}
	}
}

// libraryVectors were made by argon2_ctx of libargon2 0~20171227 as Debian
// ships it, for what its program has no options for, with a password of 32
// bytes 1, a salt of 16 bytes 2 and a tag of 32 bytes.
var libraryVectors = []struct {
	p    argon2.Params
	want string
}{
	{argon2.Params{Type: argon2.D, Version: 0x10, Time: 3, Memory: 32, Parallelism: 4, Secret: bytes.Repeat([]byte{3}, 8), Data: bytes.Repeat([]byte{4}, 12)}, "96a9d4e5a1734092c85e29f410a45914a5dd1f5cbf08b2670da68a0285abf32b"},
	{argon2.Params{Type: argon2.I, Version: 0x10, Time: 3, Memory: 32, Parallelism: 4, Secret: bytes.Repeat([]byte{3}, 8), Data: bytes.Repeat([]byte{4}, 12)}, "87aeedd6517ab830cd9765cd8231abb2e647a5dee08f7c05e02fcb763335d0fd"},
	{argon2.Params{Type: argon2.ID, Version: 0x10, Time: 3, Memory: 32, Parallelism: 4, Secret: bytes.Repeat([]byte{3}, 8), Data: bytes.Repeat([]byte{4}, 12)}, "b64615f07789b66b645b67ee9ed3b377ae350b6bfcbb0fc95141ea8f322613c0"},
	{argon2.Params{Type: argon2.D, Version: 0x10, Time: 2, Memory: 1031, Parallelism: 3, Secret: []byte{3}}, "b930b99b8260fe330a90eec26b94e5aa15576813d766b888cd72c9ffa966733e"},
	{argon2.Params{Type: argon2.I, Version: 0x10, Time: 2, Memory: 1031, Parallelism: 3, Secret: []byte{3}}, "2301bc720d8a3180bdc6a5e08c10fb1afbca2542e7a63e9de4f6938ef23db90b"},
	{argon2.Params{Type: argon2.ID, Version: 0x10, Time: 2, Memory: 1031, Parallelism: 3, Secret: []byte{3}}, "db21dc0e883d55bc67c275822eb804c4ee29edcd9e6bf4109d7d7e6c3ff6dc48"},
	{argon2.Params{Type: argon2.D, Version: 0x13, Time: 2, Memory: 1031, Parallelism: 3, Secret: []byte{3}}, "7d71bde8cf965db1e425e84b9c791875c0ae8b869278738c6e11741abd9dd29d"},
	{argon2.Params{Type: argon2.I, Version: 0x13, Time: 2, Memory: 1031, Parallelism: 3, Secret: []byte{3}}, "4bc19e74a4f5aa5125cb3534d2b426526f93c1926b96224f813bde87296c4312"},
	{argon2.Params{Type: argon2.ID, Version: 0x13, Time: 2, Memory: 1031, Parallelism: 3, Secret: []byte{3}}, "3f74423bf0ffcd052cae67a8a24d719cbbb1e2f38a60d931545b0eded1edaa7e"},
}

func TestLibraryVectors(t *testing.T) {
	for _, c := range cores(t) {
		m := newMemory(t, c, 1031)
		for _, v := range libraryVectors {
			v.p.KeyLen = 32
			got := key(t, m, strings.Repeat("\x01", 32), strings.Repeat("\x02", 16), v.p)
			if hex.EncodeToString(got) != v.want {
				t.Errorf("%s: %+v: tag %x, want %s", c.Kernel(), v.p, got, v.want)
			}
		}
	}
}

// programVectors were made by the argon2 program of Debian, 0~20171227, run as
//
//	printf %s PASSWORD | argon2 ARGS -r
var programVectors = []struct{ password, args, want string }{
	{"password", "somesalt -d -t 2 -k 64 -p 1 -l 32 -v 13", "f920d95538648465abeeba6ae06ea532ed26df314aff60150237d8fe116f62cd"},
	{"password", "somesalt -i -t 2 -k 64 -p 1 -l 32 -v 13", "989da65458e8be1440ae555d0b3c8ac3a6584e0d2290b9dcc915a68a71e41c1e"},
	{"password", "somesalt -id -t 2 -k 64 -p 1 -l 32 -v 13", "16a1a498734609dd01456da406de9f3d9da93e6c86c300a12fc1465214ce4922"},
	{"password", "somesalt -d -t 2 -k 64 -p 1 -l 32 -v 10", "80b10fd42c620bac682749ec9096317a7aa709a8a02af830a13f8d94c4c09dc2"},
	{"password", "somesalt -i -t 2 -k 64 -p 1 -l 32 -v 10", "061db5fde247f18043ca28f6af334c14127194d8d9397800f139951faa8c667a"},
	{"password", "somesalt -id -t 2 -k 64 -p 1 -l 32 -v 10", "e270c282aaa2fcc62f3d4ad4abc65f554ac5b68e37897616eebcb271ab54ce82"},
	{"differentpassword", "diffsalt -d -t 3 -k 4099 -p 3 -l 24 -v 13", "44dc276fe0f84af583b59e1de975ebf0c8afe63d1568fd74"},
	{"differentpassword", "diffsalt -i -t 3 -k 4099 -p 3 -l 24 -v 13", "3e22b1eff0c41a462bc4c44bdfd80edfc3008416b939c9ff"},
	{"differentpassword", "diffsalt -id -t 3 -k 4099 -p 3 -l 24 -v 13", "c02f963597e5b278a910650d9ae87b481711136ac1b72122"},
	{"differentpassword", "diffsalt -d -t 3 -k 4099 -p 3 -l 24 -v 10", "0fc65b0718bdaf6bc1b4b302780d92b9afad723f1ae1865f"},
	{"differentpassword", "diffsalt -i -t 3 -k 4099 -p 3 -l 24 -v 10", "f2c66cbc4f69eca60a98d3baf7c08f3289161b984b313f48"},
	{"differentpassword", "diffsalt -id -t 3 -k 4099 -p 3 -l 24 -v 10", "28ecfe8aead5ef44af760bead35dc37e9f666096e700d960"},
	{"x", "0123456789abcdef -id -t 1 -k 8 -p 1 -l 4 -v 13", "ad6bcc13"},
	{"x", "0123456789abcdef -i -t 4 -k 71 -p 8 -l 64 -v 13", "618af8fec91e0ad97b5787f0dd6771e0ade1578d78001751606e940cb5a764f641d38b2a434ccddeb3e122769943afecae587bd1f4ec71c572ff97709ae2c241"},
	{"x", "0123456789abcdef -d -t 5 -k 1031 -p 5 -l 65 -v 10", "ad79831748f7514c269c84299122a7c85c906fa859f06779720bd6dcbb6fd37743d11beb7d78a2b7844637351ce83c5abccec5c841ff55f7937e011c8d77af06c3"},
	{"x", "0123456789abcdef -id -t 1 -k 2048 -p 6 -l 100 -v 10", "61c062d8a0ca00affd5e801ec09b4369ea3b4bd1238f315576cbe9bcce8989b78229e595918e1adf4f5804baa63f04433c9736edbfd24bdd73faafac6913e18961f82b09d5cde02e3f06b4c89d86564a969ef5b49941670ed23ec2f716b780cc9e777b37"},
	{"x", "0123456789abcdef -id -t 2 -k 19456 -p 1 -l 32 -v 13", "28729e5699678480ac83e85dddad58889cb0c3f174a1be42f48c2ef057e8a4ee"},
	{"x", "0123456789abcdef -id -t 1 -k 47104 -p 1 -l 32 -v 13", "080208766fa002d4b813eca6ce2e874743af23a66e59f3d7e9b97aef8c631737"},
	{"x", "0123456789abcdef -id -t 3 -k 65536 -p 4 -l 32 -v 13", "89c4c4516e04b65e59dfa5571eb1cd22b5644e501bdd41411b7ac521bf125ba2"},
}

// parseArgs reads the arguments of the argon2 program: the salt, then options
// in the order that programVectors has them.
func parseArgs(t *testing.T, args string) (salt string, p argon2.Params) {
	t.Helper()
	fields := strings.Fields(args)
	types := map[string]argon2.Type{"-d": argon2.D, "-i": argon2.I, "-id": argon2.ID}
	typ, ok := types[fields[1]]
	if !ok {
		t.Fatalf("no type in %q", args)
	}
	p.Type = typ
	_, err := fmt.Sscanf(strings.Join(fields[2:], " "), "-t %d -k %d -p %d -l %d -v %x",
		&p.Time, &p.Memory, &p.Parallelism, &p.KeyLen, &p.Version)
	if err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return fields[0], p
}

func TestProgramVectors(t *testing.T) {
	for _, c := range cores(t) {
		m := newMemory(t, c, 64<<10)
		for _, v := range programVectors {
			salt, p := parseArgs(t, v.args)
			if got := key(t, m, v.password, salt, p); hex.EncodeToString(got) != v.want {
				t.Errorf("%s: argon2 %s: tag %x, want %s", c.Kernel(), v.args, got, v.want)
			}
		}
	}
}

// TestAgainstProgram asks the argon2 program for tags that nobody chose.
func TestAgainstProgram(t *testing.T) {
	program, err := exec.LookPath("argon2")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	runs := 100
	if long() {
		runs = 5000
	}
	r := newRand(2)
	m := newMemory(t, argon2.Default(), 4096)
	for range runs {
		lanes := 1 + r.Uint32N(8)
		args := fmt.Sprintf("salt%s %s -t %d -k %d -p %d -l %d -v %s",
			text(r, 4, 30), []string{"-d", "-i", "-id"}[r.IntN(3)], 1+r.IntN(4), 8*lanes+r.Uint32N(2000),
			lanes, 4+r.IntN(150), []string{"10", "13"}[r.IntN(2)])
		password := text(r, 1, 100) // the program refuses an empty one
		cmd := exec.Command(program, append(strings.Fields(args), "-r")...)
		cmd.Stdin = strings.NewReader(password)
		want, err := cmd.Output()
		if err != nil {
			t.Fatalf("argon2 %s: %v", args, err)
		}
		salt, p := parseArgs(t, args)
		if got := key(t, m, password, salt, p); hex.EncodeToString(got) != strings.TrimSpace(string(want)) {
			t.Errorf("printf %%s %q | argon2 %s -r: tag %x, want %s", password, args, got, want)
		}
	}
}

// text returns least to most letters.
func text(r *rand.Rand, least, most int) string {
	b := make([]byte, least+r.IntN(most-least+1))
	for i := range b {
		b[i] = 'a' + byte(r.IntN(26))
	}
	return string(b)
}

// FuzzAgainstXCrypto compares all our kernels with x/crypto where that can
// follow, and with each other where it cannot.
func FuzzAgainstXCrypto(f *testing.F) {
	r := newRand(3)
	runs := 200
	if long() {
		runs = 20_000
	}
	for range runs {
		// Half of them without K and X and in the present version.
		secret, data, version := random(r, 40), random(r, 40), uint8(r.Uint32())
		if r.IntN(2) == 0 {
			secret, data, version = nil, nil, 1
		}
		f.Add(random(r, 300), random(r, 80), secret, data, uint8(r.Uint32()), version,
			uint8(r.Uint32()), uint16(r.Uint32()), uint8(r.Uint32()), uint8(r.Uint32()))
	}
	const most = 1100 // KiB above the least, for segments of up to 276 blocks
	var slots []*argon2.Memory
	for _, c := range cores(f) {
		slots = append(slots, newMemory(f, c, 8*8+most))
	}
	f.Fuzz(func(t *testing.T, password, salt, secret, data []byte, typ, version, time uint8, memory uint16, lanes, keyLen uint8) {
		p := argon2.Params{
			Type:        argon2.Type(typ % 3),
			Version:     argon2.Version10,
			Time:        1 + uint32(time%4),
			Parallelism: 1 + uint32(lanes%8),
			KeyLen:      4 + uint32(keyLen),
			Secret:      secret,
			Data:        data,
		}
		if version%2 == 1 {
			p.Version = argon2.Version13
		}
		p.Memory = 8*p.Parallelism + uint32(memory)%(most+1)
		tag := key(t, slots[0], string(password), string(salt), p)
		for _, m := range slots[1:] {
			if other := key(t, m, string(password), string(salt), p); !bytes.Equal(tag, other) {
				t.Errorf("%+v: %s has tag %x, %s has %x", p, slots[0].Kernel(), tag, m.Kernel(), other)
			}
		}
		if p.Type == argon2.D || p.Version != argon2.Version13 || len(secret)+len(data) > 0 {
			return
		}
		derive := xcrypto.IDKey
		if p.Type == argon2.I {
			derive = xcrypto.Key
		}
		want := derive(password, salt, p.Time, p.Memory, uint8(p.Parallelism), p.KeyLen)
		if !bytes.Equal(tag, want) {
			t.Errorf("%+v: tag %x, x/crypto has %x", p, tag, want)
		}
	})
}

// random returns 0 to most random bytes.
func random(r *rand.Rand, most int) []byte {
	b := make([]byte, r.IntN(most+1))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// FuzzKernel compares single blocks of every kernel with the generic one. Each
// of the three blocks comes from a seed; the bits of the last argument replace
// some words by ones where carries and 32-bit products are at their limits.
func FuzzKernel(f *testing.F) {
	r := newRand(4)
	f.Add(uint64(1), uint64(2), uint64(3), ^uint64(0))
	runs := 3000
	if long() {
		runs = 1_000_000
	}
	for range runs {
		f.Add(r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64()&r.Uint64())
	}
	var slots []*argon2.Memory
	for _, c := range cores(f) {
		slots = append(slots, newMemory(f, c, 8))
	}
	generic := slots[len(slots)-1]
	f.Fuzz(func(t *testing.T, a, b, c, extremes uint64) {
		prev, ref, old := words(a, extremes), words(b, extremes>>1), words(c, extremes>>2)
		for mode := range 2 {
			want, _, _ := argon2.Compress(generic, mode, &prev, &ref, &old)
			for _, m := range slots {
				got, word, untouched := argon2.Compress(m, mode, &prev, &ref, &old)
				if got != want || word != want[0] || !untouched {
					t.Errorf("%s, mode %d: same block as generic: %t; first word %#x, want %#x; inputs untouched: %t",
						m.Kernel(), mode, got == want, word, want[0], untouched)
				}
			}
		}
	})
}

// words makes a block from a seed, with words at their limits in the places
// that the bits of extremes choose.
func words(seed, extremes uint64) argon2.Block {
	limits := [...]uint64{0, ^uint64(0), 1<<32 - 1, 1 << 63, 0xffffffff << 32, 1}
	r := rand.New(rand.NewPCG(seed, 0))
	var b argon2.Block
	for i := range b {
		b[i] = r.Uint64()
		if extremes>>(i%61)&1 == 1 {
			b[i] = limits[r.IntN(len(limits))]
		}
	}
	return b
}
