// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package policy

import (
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/watchword-project/watchword/server/internal/password"
)

// Habits yields n passwords after the habits of English and Chinese users, for
// trying a draft without anybody's passwords. Half of the Chinese ones are
// digits only, and letters followed by digits lead among the others, as Wang et
// al. (USENIX Security 2019) found; the finer shares are rough. from yields
// uniform random bytes; the sequence ends early if it fails.
func Habits(n int, from io.Reader) iter.Seq[password.Text] {
	return func(yield func(password.Text) bool) {
		d := &dice{from: from}
		for range n {
			s := habit(d)
			text, err := password.New(s)
			if d.err != nil || err != nil || !yield(text) {
				return
			}
		}
	}
}

func habit(d *dice) string {
	en := func() string { return pickWord(d, effWords()) }
	zh := func() string { return pickWord(d, pinyinWords()) }
	title := func(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
	date := func() string { return fmt.Sprintf("%d%02d%02d", 1960+d.roll(50), 1+d.roll(12), 1+d.roll(28)) }
	digits := func(n int) string {
		var b strings.Builder
		for range n {
			b.WriteByte('0' + byte(d.roll(10)))
		}
		return b.String()
	}
	switch k := d.roll(100); {
	case k < 18:
		return en() + digits(1+d.roll(4))
	case k < 26:
		return title(en()) + digits(2) + "!"
	case k < 34:
		return en() + en()
	case k < 40:
		return en() + date()[:4]
	case k < 52:
		return zh() + zh() + digits(1+d.roll(6))
	case k < 58:
		return zh() + zh() + date()
	case k < 66:
		return date()
	case k < 76:
		return digits(6 + d.roll(3))
	case k < 80:
		return "1" + digits(10)
	case k < 88:
		return strings.Join([]string{en(), en(), en(), en()}, " ")
	case k < 92:
		return title(zh()) + zh() + "@" + date()[:4]
	default:
		var b strings.Builder
		for range 10 + d.roll(8) {
			b.WriteByte("abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"[d.roll(56)])
		}
		return b.String()
	}
}

func pickWord(d *dice, words []string) string { return words[d.roll(len(words))] }
