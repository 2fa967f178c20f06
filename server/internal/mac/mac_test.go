// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package mac_test

import (
	"bytes"
	"encoding/hex"
	"sync"
	"testing"

	"github.com/watchword-project/watchword/server/internal/mac"
)

// TestSumIsHMAC takes vectors of RFC 4231, whole and in parts, and in turns, so
// that a message left behind in a key would show.
func TestSumIsHMAC(t *testing.T) {
	cases := []struct {
		key, message []byte
		want         string
	}{
		{bytes.Repeat([]byte{0x0b}, 20), []byte("Hi There"), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
		{[]byte("Jefe"), []byte("what do ya want for nothing?"), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
		{bytes.Repeat([]byte{0xaa}, 20), bytes.Repeat([]byte{0xdd}, 50), "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
		{bytes.Repeat([]byte{0xaa}, 131), []byte("Test Using Larger Than Block-Size Key - Hash Key First"), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
	}
	for _, c := range cases {
		k := mac.NewKey(c.key)
		var wg sync.WaitGroup
		for at := range len(c.message) {
			wg.Go(func() {
				for _, parts := range [][][]byte{{c.message}, {c.message[:at], nil, c.message[at:]}} {
					if sum := k.Sum(parts...); hex.EncodeToString(sum[:]) != c.want {
						t.Errorf("the MAC of %q in %d parts is %x, want %s", c.message, len(parts), sum, c.want)
					}
				}
				k.Sum(bytes.Repeat([]byte{'x'}, at*10))
			})
		}
		wg.Wait()
	}
}
