// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package wordlists_test

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/watchword-project/watchword/wordlists"
)

// rangeText is what the public service answers for sorted entries of a prefix.
func rangeText(dst []byte, entries []entry, kind wordlists.Kind) []byte {
	for i := range entries {
		if i > 0 {
			dst = append(dst, "\r\n"...)
		}
		dst = appendHex(dst, &entries[i].key, 5, 2*kind.Size())
		dst = fmt.Appendf(dst, ":%d", entries[i].count)
	}
	return dst
}

func prefixOf(k wordlists.Key) uint32 {
	return uint32(k[0])<<12 | uint32(k[1])<<4 | uint32(k[2])>>4
}

// Every prefix is answered byte for byte, and an export gives the input back.
func TestEveryRangeExact(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		kind wordlists.Kind
		n    int
	}{{wordlists.SHA1, 150_000}, {wordlists.NTLM, 150_000}, {wordlists.SHA1, 1_000_000}, {wordlists.SHA1, 30_000_000}, {wordlists.SHA1, 20_000}} {
		if tt.n >= 1_000_000 && !*long {
			continue
		}
		t.Run(fmt.Sprintf("%v-%d", tt.kind, tt.n), func(t *testing.T) {
			all := generate(2, tt.n, tt.kind)
			in := hashesFile(t, all, tt.kind)
			path, _ := build(t, wordlists.BuildOptions{In: in, Kind: tt.kind, Full: true, Partial: true})
			x := openIndex(t, path, wordlists.Options{})
			var got, want []byte
			at := 0
			for p := range uint32(1 << 20) {
				end := at
				for end < len(all) && prefixOf(all[end].key) == p {
					end++
				}
				var real int
				var err error
				got, real, err = x.AppendRange(got[:0], p, wordlists.PadNone)
				want = rangeText(want[:0], all[at:end], tt.kind)
				if err != nil || real != len(got) || !bytes.Equal(got, want) {
					t.Fatalf("AppendRange(%05X) = %q, %d, %v, want %q", p, got, real, err, want)
				}
				at = end
			}
			var out bytes.Buffer
			if err := x.Export(t.Context(), &out); err != nil {
				t.Fatalf("Export: %v", err)
			}
			text, err := os.ReadFile(in)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(out.Bytes(), text) {
				t.Fatal("Export does not give the input back")
			}
		})
	}
}

func TestRangePadding(t *testing.T) {
	all := generate(3, 100_000, wordlists.SHA1)
	path, res := build(t, wordlists.BuildOptions{In: hashesFile(t, all, wordlists.SHA1), Full: true, Partial: true})
	x := openIndex(t, path, wordlists.Options{})
	for prefix := range uint32(400) {
		plain, _, err := x.AppendRange(nil, prefix, wordlists.PadNone)
		if err != nil {
			t.Fatal(err)
		}
		plainTag, sum := wordlists.RangeTags(plain, len(plain))
		want := md5.Sum(plain)
		if sum != base64.StdEncoding.EncodeToString(want[:]) {
			t.Fatalf("RangeTags gives Content-MD5 %s", sum)
		}
		real := 0
		if len(plain) > 0 {
			real = strings.Count(string(plain), "\r\n") + 1
		}
		for _, tt := range []struct {
			padding  wordlists.Padding
			min, max int
		}{
			{wordlists.PadPublic, real + 10, real + 209},
			{wordlists.PadFull, res.Info.MaxRange, res.Info.MaxRange + 200},
		} {
			body, at, err := x.AppendRange(nil, prefix, tt.padding)
			if err != nil || at != len(plain) || !bytes.HasPrefix(body, plain) {
				t.Fatalf("AppendRange(%05X, %d) does not begin with the plain answer", prefix, tt.padding)
			}
			if tt.max == 0 || len(body) == 0 {
				continue
			}
			lines := strings.Split(string(body), "\r\n")
			if len(lines) < tt.min || len(lines) > tt.max {
				t.Fatalf("AppendRange(%05X, %d) has %d lines, want %d to %d", prefix, tt.padding, len(lines), tt.min, tt.max)
			}
			for _, line := range lines[real:] {
				if len(line) != 37 || !strings.HasSuffix(line, ":0") || strings.ToUpper(line) != line {
					t.Fatalf("padding line %q", line)
				}
			}
			tag, sum := wordlists.RangeTags(body, at)
			want := md5.Sum(body)
			if len(lines) > real && tag != "W/"+plainTag || sum != base64.StdEncoding.EncodeToString(want[:]) {
				t.Fatalf("RangeTags of a padded body = %s, %s", tag, sum)
			}
		}
	}
}

func TestRangeNeedsTails(t *testing.T) {
	all := generate(3, 1000, wordlists.SHA1)
	path, _ := build(t, wordlists.BuildOptions{In: hashesFile(t, all, wordlists.SHA1), Partial: true})
	x := openIndex(t, path, wordlists.Options{})
	if _, _, err := x.AppendRange(nil, 0, wordlists.PadNone); !errors.Is(err, wordlists.ErrHeadOnly) {
		t.Errorf("AppendRange without tails: %v, want ErrHeadOnly", err)
	}
	if err := x.Export(t.Context(), os.Stdout); !errors.Is(err, wordlists.ErrHeadOnly) {
		t.Errorf("Export without tails: %v, want ErrHeadOnly", err)
	}
	if _, err := wordlists.Open(path, wordlists.Options{Exact: true}); !errors.Is(err, wordlists.ErrHeadOnly) {
		t.Errorf("Open Exact without tails: %v, want ErrHeadOnly", err)
	}
}
