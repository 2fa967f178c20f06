// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package servertest_test

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/watchword-project/watchword/client"
	"github.com/watchword-project/watchword/server/servertest"
)

var (
	noOptions     client.SetOptions
	fromSomewhere = client.Source{IP: "192.0.2.55"}
	rawCodec      = grpc.ForceCodec(raw{})
)

const canary = "canary-9Yq-plaintext-zebra-lamp"

// forms are the spellings under which a secret could stand somewhere. In base64
// it could begin at any byte of three.
func forms(s string) []string {
	b := []byte(s)
	out := []string{s, strings.ToUpper(s), strings.ToLower(s), hex.EncodeToString(b), strings.ToUpper(hex.EncodeToString(b)),
		url.QueryEscape(s), url.PathEscape(s), strings.ToLower(url.QueryEscape(s)), fmt.Sprint(b), strings.ReplaceAll(strings.Trim(fmt.Sprint(b), "[]"), " ", ",")}
	for shift := range 3 {
		long := append(make([]byte, shift), b...)
		// The first character, and the last, hold bits of what stands beside.
		from, to := (shift*8+5)/6, len(long)*8/6
		out = append(out, base64.StdEncoding.EncodeToString(long)[from:to], base64.URLEncoding.EncodeToString(long)[from:to])
	}
	var little, big, escaped []byte
	var every strings.Builder
	for _, u := range utf16.Encode([]rune(s)) {
		little, big = binary.LittleEndian.AppendUint16(little, u), binary.BigEndian.AppendUint16(big, u)
		escaped = fmt.Appendf(escaped, "\\u%04x", u)
	}
	for _, c := range b {
		fmt.Fprintf(&every, "%%%02X", c)
	}
	return append(out, string(little), string(big), string(escaped), every.String(), strings.ToLower(every.String()))
}

// TestNoSecretLeavesTheServer sends a canary password, subject, address and
// birth date through every method and route, well-formed and not, and then
// looks for them in every answer, in the log, and in every file of the data
// directory.
func TestNoSecretLeavesTheServer(t *testing.T) {
	s := servertest.New(t)
	conn := dial(t, s)
	secrets := []string{canary, "canary-subject-77", "203.0.113.199", "1987-06-05"}
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+s.Key)

	var answers strings.Builder
	post := func(route, body, key string) {
		req, _ := http.NewRequest(http.MethodPost, s.URL+route, strings.NewReader(body))
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+key)
		_, h, answer := s.Do(req)
		fmt.Fprintln(&answers, h, answer)
	}
	body := fmt.Sprintf(`{"password":%[1]q,"previousPassword":%[1]q,"subject":"canary-subject-77","currentPassword":%[1]q,"newPassword":%[1]q,"phc":%[1]q,
		"attemptToken":%[1]q,"name":%[1]q,"id":%[1]q,"yaml":%[1]q,"prefix":%[1]q,"hashes":[%[1]q],"words":["harmless"],"passwords":[%[1]q],
		"source":{"ip":"203.0.113.199","deviceToken":%[1]q},"context":{"login":%[1]q,"birthDate":"1987-06-05"}}`, canary)
	for route, method := range s.Routes() {
		short := strings.TrimPrefix(method, "/watchword.v1.")
		bodies := []string{body, body[:len(body)/2], `{"password":` + canary, `{"` + canary + `":1}`, `"` + canary + `"`, canary}
		if g, ok := good[short]; ok {
			bodies = append(bodies, spoil(g))
		}
		for _, b := range bodies {
			post(route, b, s.Key)
			post(route, b, canary)
		}
		if short == "PolicyService/AddWords" || short == "LoginThrottleService/WatchSignals" {
			continue // the one keeps its first field, the other answers for as long as it is asked
		}
		var reply []byte
		err := conn.Invoke(ctx, method, []byte("\x0a\x1f"+canary), &reply, rawCodec)
		fmt.Fprintln(&answers, err, string(reply))
		err = conn.Invoke(metadata.AppendToOutgoingContext(t.Context(), "authorization", canary), method, []byte("\x0a\x1f"+canary), &reply, rawCodec)
		fmt.Fprintln(&answers, err)
	}
	if _, err := s.Client.Set(t.Context(), "canary-subject-77", canary, noOptions); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{canary, canary + "!"} {
		if _, err := s.Client.Verify(t.Context(), "canary-subject-77", p, client.Source{IP: "203.0.113.199"}); err != nil {
			t.Fatal(err)
		}
	}
	s.Stop()

	look := func(where, text string) {
		for _, secret := range secrets {
			for _, f := range forms(secret) {
				if i := strings.Index(text, f); i >= 0 {
					t.Errorf("%s holds %q: …%.120q", where, f, text[max(0, i-60):])
				}
			}
		}
	}
	look("an answer", answers.String())
	look("the log", s.Log.String())
	files := 0
	err := filepath.WalkDir(s.DataDir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		files++
		b, err := os.ReadFile(path)
		look(filepath.Base(path), string(b))
		return err
	})
	if err != nil || files < 4 {
		t.Errorf("looked into %d files: %v", files, err)
	}
	if !strings.Contains(s.Log.String(), "VerifyPassword") || len(answers.String()) < 10_000 {
		t.Error("the log or the answers are empty: the test saw nothing")
	}
}

// spoil puts the canary into every quoted value of a good request.
func spoil(body string) string {
	var out strings.Builder
	for i, part := range strings.Split(body, `:"`) {
		if i > 0 {
			out.WriteString(`:"` + canary)
		}
		out.WriteString(part)
	}
	return out.String()
}
