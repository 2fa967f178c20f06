// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Command mktables rebuilds the word tables that package policy embeds. Its
// inputs are data files of other projects, named below with the SHA-256 of
// the bytes it expects; it refuses any others, so that the tables can be
// rebuilt byte for byte.
//
//	WATCHWORD_DATA=DIR go generate ./server/internal/policy
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/ulikunitz/xz"
	"golang.org/x/text/unicode/norm"
)

// inputs are the files read from -data, each compressed with xz under its name
// and ".xz"; the sums are of what is inside.
var inputs = map[string]string{
	// mozillazg/pinyin-data, kMandarin_8105.txt at 82759f9623 (MIT): the most
	// common reading of each of the 8,105 characters in general use.
	"cn-pinyin-kmandarin-8105.txt": "1b1546f6e190c0f1cbf23e3bb436b41c3ace16f852be4daebc2c7295636628a4",
	// zxcvbn-ts/zxcvbn, packages/languages/zh/src/commonWords.json at
	// 642ef8f0c4, one word a line (MIT; derived from OpenSubtitles, ODC-BY).
	"cn-zxcvbnts-common-words-pinyin.txt": "21672c0ada92ea6415726ee566ea2bd4417450b1f969dc35e00c301989a48a75",
	// The EFF long word list for five dice (CC BY 3.0 US), one word a line.
	"common-eff-diceware-7776.txt": "16058eae89effa7350025d5bbbb5473097221d2240875aeb57648f86620d0a35",
}

// pinyinWords is the size of the list for pinyin passphrases: 12 bits a word.
const pinyinWords = 4096

func main() {
	log.SetFlags(0)
	log.SetPrefix("mktables: ")
	data := flag.String("data", os.Getenv("WATCHWORD_DATA"), "folder of the input files (default: $WATCHWORD_DATA)")
	out := flag.String("out", "tables", "folder to write the tables to")
	flag.Parse()
	read := func(name string) []string {
		lines, err := readInput(*data, name)
		if err != nil {
			log.Fatal(err)
		}
		return lines
	}
	write := func(name string, b []byte) {
		if err := os.WriteFile(filepath.Join(*out, name), b, 0o644); err != nil {
			log.Fatal(err)
		}
	}
	readings, err := pinyin(read("cn-pinyin-kmandarin-8105.txt"))
	if err != nil {
		log.Fatal(err)
	}
	write("pinyin.txt", readings)
	words, err := phrases(read("cn-zxcvbnts-common-words-pinyin.txt"))
	if err != nil {
		log.Fatal(err)
	}
	write("pinyin-words.txt", frontCode(words))
	eff := read("common-eff-diceware-7776.txt")
	slices.Sort(eff)
	write("eff-words.txt", frontCode(eff))
}

// readInput gives the lines of an input, if it is the one that the tables are
// made from.
func readInput(dir, name string) ([]string, error) {
	if dir == "" {
		return nil, errors.New("no input folder: give -data or set WATCHWORD_DATA")
	}
	f, err := os.Open(filepath.Join(dir, name+".xz"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := xz.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != inputs[name] {
		return nil, fmt.Errorf("%s is not the file these tables are made from", name)
	}
	return strings.Split(strings.TrimRight(string(b), "\n"), "\n"), nil
}

// pinyin turns "U+4E00: yī  # 一" into one line for each syllable, with the
// characters read so: "yi 一伊…".
func pinyin(lines []string) ([]byte, error) {
	bySyllable := map[string][]rune{}
	for i, l := range lines {
		if l == "" || l[0] == '#' {
			continue
		}
		code, rest, ok := strings.Cut(l, ": ")
		syllable, _, ok2 := strings.Cut(rest, " ")
		r, err := strconv.ParseUint(strings.TrimPrefix(code, "U+"), 16, 32)
		plain := plainPinyin(syllable)
		if !ok || !ok2 || err != nil || plain == "" {
			return nil, fmt.Errorf("line %d: no reading", i+1)
		}
		bySyllable[plain] = append(bySyllable[plain], rune(r))
	}
	var out bytes.Buffer
	for _, s := range slices.Sorted(func(yield func(string) bool) {
		for s := range bySyllable {
			if !yield(s) {
				return
			}
		}
	}) {
		slices.Sort(bySyllable[s])
		fmt.Fprintf(&out, "%s %s\n", s, string(bySyllable[s]))
	}
	return out.Bytes(), nil
}

// plainPinyin strips tone marks and writes ü as v, as it is typed; it gives
// "" for anything that is not a run of Latin letters then.
func plainPinyin(s string) string {
	var b strings.Builder
	for _, r := range norm.NFD.String(strings.ReplaceAll(norm.NFC.String(strings.ToLower(s)), " ", "")) {
		switch {
		case 'a' <= r && r <= 'z':
			b.WriteRune(r)
		case r == 0x308: // diaeresis, always on u
			t := strings.TrimSuffix(b.String(), "u")
			b.Reset()
			b.WriteString(t + "v")
		case r == 0x300 || r == 0x301 || r == 0x304 || r == 0x30c: // the four tones
		default:
			return ""
		}
	}
	return b.String()
}

// phrases takes the most frequent words of at least two syllables and of four
// to twelve letters, each spelling once whatever its tones.
func phrases(lines []string) ([]string, error) {
	var out []string
	seen := map[string]bool{}
	for _, l := range lines {
		w := plainPinyin(l)
		if len(w) < 4 || len(w) > 12 || seen[w] || len(strings.Fields(l)) < 2 {
			continue
		}
		seen[w] = true
		out = append(out, w)
		if len(out) == pinyinWords {
			slices.Sort(out)
			return out, nil
		}
	}
	return nil, fmt.Errorf("only %d usable pinyin words", len(out))
}

// frontCode writes sorted words one a line, each as the number of letters it
// shares with the one before, in base 36, and the rest of its letters.
func frontCode(words []string) []byte {
	var out bytes.Buffer
	before := ""
	for _, w := range words {
		n := 0
		for n < min(len(before), len(w), 35) && before[n] == w[n] {
			n++
		}
		fmt.Fprintf(&out, "%s%s\n", strconv.FormatInt(int64(n), 36), w[n:])
		before = w
	}
	return out.Bytes()
}
