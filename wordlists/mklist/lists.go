// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"bytes"
	"cmp"
	"compress/flate"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/watchword-project/watchword/wordlists"
)

// source is one password list, most common entry first.
type source struct {
	file   string
	sha256 string
	// entry takes the password out of a line; false skips the line.
	entry func(line string) (string, bool)
	// scale turns a line's number into a rank: the lines of a short list
	// stand for more passwords each.
	scale int
}

// sources are merged in this order; where two lists give one rank, the
// earlier list goes first.
var sources = []source{
	{"en-xato-top100k.txt.xz", "8f05eebf2645a38e348f9d588da4ecb17723b9a328dbc917529d1fa9b1944e11", wholeLine, 1},
	{"en-zxcvbn-passwords-47k-count.txt.xz", "7620f3fd4cd899f6569f309c9a82b9b83b70f2bf6db596781b7fc894354dc518", beforeCount, 1},
	{"common-zxcvbnts-passwords.txt.xz", "852ef06f7dcfb4030601d9f22770f2aa582a799cb167c34fe6b828d00c12c29e", wholeLine, 1},
	{"cn-netease-top100k.txt.xz", "edaec0f417ee5e8c4b9ec43417fb176c0dbc67cee01d807b100956f88eaa597d", wholeLine, 1},
	{"global-pwdb-top100k-count.txt.xz", "93baa0079405c6c611923282f2e55991299e6da2b59fa3038b81ec8845ba0c26", beforeBar, 1},
	{"cn-pwdb-mandarin-cantonese-150.txt.xz", "b9a56ceb96478de653abb6821b4e78a2435606eda554facb7836aac92e168ff4", notHeading, 50},
}

const (
	vendorFile   = "default-credentials.csv.xz"
	vendorSHA256 = "2b40fa975241f255d4527ca34f4260f44e7de3fc25b8319650cea8f01ba6641e"
)

func wholeLine(line string) (string, bool) { return line, true }

// notHeading skips the "# mandarin" lines.
func notHeading(line string) (string, bool) { return line, !strings.HasPrefix(line, "# ") }

// beforeCount reads "password   123".
func beforeCount(line string) (string, bool) {
	word, _, ok := strings.Cut(line, " ")
	return word, ok
}

// beforeBar reads "password|123" and skips the heading.
func beforeBar(line string) (string, bool) {
	i := strings.LastIndexByte(line, '|')
	return line[:max(i, 0)], i > 0 && line != "value|occurrence"
}

// read returns the uncompressed content of an input file.
func read(folder, file, sum string) ([]byte, error) {
	path := filepath.Join(folder, file)
	packed, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if got := sha256.Sum256(packed); hex.EncodeToString(got[:]) != sum {
		return nil, fmt.Errorf("%s: SHA-256 is %x, want %s", file, got, sum)
	}
	cmd := exec.Command("xz", "--decompress", "--stdout")
	cmd.Stdin = bytes.NewReader(packed)
	text, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: xz: %w", file, err)
	}
	if !utf8.Valid(text) {
		return nil, fmt.Errorf("%s: not UTF-8", file)
	}
	return text, nil
}

// words returns the passwords of a list in its order.
func (s source) words(folder string) ([]string, error) {
	text, err := read(folder, s.file, s.sha256)
	if err != nil {
		return nil, err
	}
	var words []string
	for line := range strings.SplitSeq(string(text), "\n") {
		if line == "" {
			continue
		}
		if word, ok := s.entry(line); ok {
			words = append(words, word)
		}
	}
	return words, nil
}

// tables are the embedded files.
type tables struct {
	common   []byte
	defaults []byte
	ranked   []byte
}

func makeTables(folder string) (tables, error) {
	entries, err := ranked(folder)
	if err != nil {
		return tables{}, err
	}
	rows, err := readVendor(folder)
	if err != nil {
		return tables{}, err
	}
	head, err := packRanked(entries)
	if err != nil {
		return tables{}, err
	}
	known := make(map[string]bool, len(entries))
	for _, e := range entries {
		known[e.Text] = true
	}
	rank := len(entries)
	for _, password := range vendorPasswords(rows) {
		if !known[password] {
			rank++
		}
		// A listed password keeps its better rank and only gains the mark.
		entries = append(entries, wordlists.CommonEntry{Text: password, Rank: rank, Default: true})
	}
	joined, err := joinedPairs(entries, rank)
	if err != nil {
		return tables{}, err
	}
	common, err := wordlists.BuildCommon(append(entries, joined...))
	if err != nil {
		return tables{}, err
	}
	return tables{common, vendorLines(rows), head}, nil
}

// packRanked packs the head of the merged lists, a line for each entry.
func packRanked(entries []wordlists.CommonEntry) ([]byte, error) {
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestCompression)
	if err != nil {
		return nil, err
	}
	for _, e := range entries[:wordlists.MaxRanked] {
		if strings.ContainsAny(e.Text, "\r\n") {
			return nil, fmt.Errorf("a line end in the entry of rank %d", e.Rank)
		}
		if _, err := w.Write([]byte(e.Text + "\n")); err != nil {
			return nil, err
		}
	}
	err = w.Close()
	return out.Bytes(), err
}

const (
	// longRunes and longWanted: of passwords that a policy with the minimum of
	// NIST SP 800-63B-4 (3.1.1.2) accepts by their length there are to be as
	// many as OWASP ASVS 5.0 6.2.4 asks for. Published lists hold a few hundred.
	longRunes  = 15
	longWanted = 3_000
	// joinable is how many of the commonest words are joined.
	joinable = 300
)

// joinedPairs makes up for the long passwords that lists lack: two of the
// commonest ones, one after the other, in the order in which somebody who knows
// the lists would try them. Pairs that the list finds by itself, such as a
// password and a number, are left out. They rank behind everything else.
func joinedPairs(entries []wordlists.CommonEntry, rank int) ([]wordlists.CommonEntry, error) {
	table, err := wordlists.BuildCommon(entries)
	if err != nil {
		return nil, err
	}
	list, err := wordlists.OpenCommon(table)
	if err != nil {
		return nil, err
	}
	type pair struct {
		text  string
		order int
	}
	var pairs []pair
	for i, a := range entries[:joinable] {
		for j, b := range entries[:joinable] {
			text := a.Text + b.Text
			if utf8.RuneCountInString(text) < longRunes || string(wordlists.AppendFold(nil, []byte(text))) != text {
				continue
			}
			if _, found := list.Match([]byte(text)); !found {
				pairs = append(pairs, pair{text, (i + 1) * (j + 1)})
			}
		}
	}
	slices.SortStableFunc(pairs, func(a, b pair) int { return cmp.Compare(a.order, b.order) })
	var joined []wordlists.CommonEntry
	seen := make(map[string]bool)
	for _, p := range pairs {
		if list.CountFitting(longRunes)+len(joined) == longWanted {
			break
		}
		if !seen[p.text] {
			seen[p.text] = true
			rank++
			joined = append(joined, wordlists.CommonEntry{Text: p.text, Rank: rank})
		}
	}
	return joined, nil
}

// ranked merges the lists: an entry's place is decided by its best rank on
// any of them.
func ranked(folder string) ([]wordlists.CommonEntry, error) {
	best := make(map[string]int)
	var order []string // by first sight, which settles ties
	for _, s := range sources {
		words, err := s.words(folder)
		if err != nil {
			return nil, err
		}
		for i, word := range words {
			rank := (i + 1) * s.scale
			old, seen := best[word]
			if !seen {
				order = append(order, word)
			}
			if !seen || rank < old {
				best[word] = rank
			}
		}
	}
	slices.SortStableFunc(order, func(a, b string) int { return cmp.Compare(best[a], best[b]) })
	entries := make([]wordlists.CommonEntry, len(order))
	for i, word := range order {
		entries[i] = wordlists.CommonEntry{Text: word, Rank: i + 1}
	}
	return entries, nil
}

// vendorRow is a product's default credential. anyUser marks rows whose user
// name is a remark, such as "(any)": their password is one of the defaults,
// but belongs to no name.
type vendorRow struct {
	product, user, password string
	anyUser                 bool
}

// passwordNotes are password fields that are remarks, and what they mean: the
// passwords they name, or none because the real one differs from device to
// device.
var passwordNotes = map[string][]string{
	"<blank>":                     {""},
	"blank":                       {""},
	"often blank":                 {""},
	"123 (or blank)":              {"123", ""},
	"000 or 202":                  {"000", "202"},
	"tiger or tigger":             {"tiger", "tigger"},
	"password/changeme or secret": {"password", "changeme", "secret"},
	"public/private/secret":       {"public", "private", "secret"},
	"sys/change_on_install":       {"change_on_install"},

	"(caclulated)":                               nil,
	"(random password)":                          nil,
	"(see note)":                                 nil,
	"(serial number)":                            nil,
	"(unknown)":                                  nil,
	"<SEE COMMENT>":                              nil,
	"<create by default>":                        nil,
	"<random string 8 symbol>":                   nil,
	"0 and the number of OCE printer":            nil,
	"2 + last 4 of Audio":                        nil,
	"4x 'Enter' button":                          nil,
	"Last 4 digits of VIN":                       nil,
	"The last eight digits of the serial number": nil,
	"bcpb(serial number of the firewall)":        nil,
	"bcpb+serial#":                               nil,
	"bcpb[SERIAL NO.]":                           nil,
	"pbcpbn(add-serial-number)":                  nil,
	"same as webui pwd":                          nil,
	"serial number of the Call-UPS":              nil,
	"serial number of the Share-UPS":             nil,
	"serial#":                                    nil,
	"the same all over":                          nil,
	"1st MAC address of NAS (uppercase letters without special characters) [ex: MAC = 00-08-9B-F6-15-75 / password = 00089BF61575]": nil,
	"Cloud Key of NAS (uppercase letters without any special characters) [ex: Cloud Key = Q1234-5678 / password = Q12345678]":       nil,
}

// userNotes are user fields that are remarks.
var userNotes = map[string]bool{
	"(any)": true, "(any 3 characters)": true, "(any 3 chars)": true, "Any": true,
	"(created)": true, "(hostname/ipaddress)": true, "[MULTIPLE]": true,
	"dont need one": true, "private ReadWrite access": true, "public ReadOnly access": true,
	"serial#": true, "Type User: FORCE": true,
	"WS50x0 Administrator (Substitute the x with the model of the workstation)": true,
}

func readVendor(folder string) ([]vendorRow, error) {
	text, err := read(folder, vendorFile, vendorSHA256)
	if err != nil {
		return nil, err
	}
	r := csv.NewReader(bytes.NewReader(text))
	r.FieldsPerRecord = 3
	records, err := r.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", vendorFile, err)
	}
	var rows []vendorRow
	for _, rec := range records[1:] {
		passwords, note := passwordNotes[rec[2]]
		if !note {
			passwords = rec[2:3]
		}
		user := rec[1]
		if user == "<blank>" {
			user = ""
		}
		for _, p := range passwords {
			if strings.ContainsAny(user+p, "\t\n\r\x00") {
				return nil, fmt.Errorf("%s: control character in a credential", vendorFile)
			}
			rows = append(rows, vendorRow{rec[0], user, p, userNotes[rec[1]]})
		}
	}
	return rows, nil
}

// vendorPasswords returns the distinct default passwords but the empty one,
// those of many products first.
func vendorPasswords(rows []vendorRow) []string {
	products := make(map[string]map[string]bool)
	for _, r := range rows {
		if products[r.password] == nil {
			products[r.password] = make(map[string]bool)
		}
		products[r.password][r.product] = true
	}
	delete(products, "")
	var passwords []string
	for p := range products {
		passwords = append(passwords, p)
	}
	slices.SortFunc(passwords, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(products[b]), len(products[a])), cmp.Compare(a, b))
	})
	return passwords
}

// vendorLines writes the sorted lines "user TAB password" of defaults.txt.
func vendorLines(rows []vendorRow) []byte {
	var lines []string
	for _, r := range rows {
		if !r.anyUser {
			lines = append(lines, string(wordlists.AppendFold(nil, []byte(r.user)))+"\t"+r.password+"\n")
		}
	}
	slices.Sort(lines)
	return []byte(strings.Join(slices.Compact(lines), ""))
}
