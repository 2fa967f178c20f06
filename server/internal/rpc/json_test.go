// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package rpc_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
	"github.com/watchword-project/watchword/server/internal/rpc"
)

// refusal is what every fault of a body is told as: a place at the most, and
// nothing of what was sent.
var refusal = regexp.MustCompile(`^(the body is not JSON|the body is not a JSON object of this request|` +
	`line [0-9]+, column [0-9]+ of the body: (this request has no such field|not what belongs there))$`)

// requests are the types of all requests of the contract, by name.
func requests(t testing.TB) []protoreflect.MessageType {
	t.Helper()
	var names []protoreflect.FullName
	protoregistry.GlobalFiles.RangeFilesByPackage("watchword.v1", func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			methods := f.Services().Get(i).Methods()
			for j := range methods.Len() {
				names = append(names, methods.Get(j).Input().FullName())
			}
		}
		return true
	})
	slices.Sort(names)
	var out []protoreflect.MessageType
	for _, name := range slices.Compact(names) {
		mt, err := protoregistry.GlobalTypes.FindMessageByName(name)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, mt)
	}
	if len(out) < 50 {
		t.Fatalf("only %d requests", len(out))
	}
	return out
}

// object tells whether a text is one JSON object, with nothing around it, in
// which no object names a key twice. It knows nothing of protobuf.
func object(data []byte) error {
	if !utf8.Valid(data) {
		return errors.New("not UTF-8")
	}
	if !json.Valid(data) || !bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{")) {
		return errors.New("not one object")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var value func() error
	value = func() error {
		tok, err := d.Token()
		if err != nil {
			return err
		}
		delim, _ := tok.(json.Delim)
		seen := map[string]bool{}
		for delim != 0 && d.More() {
			if delim == '{' {
				key, err := d.Token()
				if err != nil {
					return err
				}
				if seen[key.(string)] {
					return errors.New("a key stands twice")
				}
				seen[key.(string)] = true
			}
			if err := value(); err != nil {
				return err
			}
		}
		if delim != 0 {
			_, err = d.Token()
		}
		return err
	}
	return value()
}

// FuzzDecode reads a text as each request of the contract: over REST as a body
// and as a line of a stream. Both take exactly what is JSON and what protobuf's
// strict reading takes, which is one object without a key named twice; what was
// taken is written out and read again as the same; and a refusal repeats
// nothing.
func FuzzDecode(f *testing.F) {
	types := requests(f)
	for i, seed := range []string{
		`{"password":"x","context":{"emails":["a"],"birthDate":"1990-01-02"},"use":"USE_SINGLE_FACTOR"}`,
		`{"password":"x","password":"y"}`, `{"previousPassword":"x","previous_password":"y"}`, `{"Password":"x"}`, `{} {}`, `null`, `[{}]`, ``, `{"password":1}`,
		`{"password":"\ud800"}`, "{\"password\":\"\xff\"}", `{"use":99}`, `{"use":"nothing"}`, `{"context":{"unknown":1}}`, ` {"password":null} `,
		`{"expireTime":"2026-01-02T03:04:05Z"}`, `{"guessTag":"AAECAw=="}`, `{"ifVersion":4294967296}`, `{"ifVersion":1e2}`, "{\n}", `{"a":{"a":{"a":{}}}}`,
	} {
		f.Add(uint8(i), []byte(seed))
	}
	for i := range types {
		f.Add(uint8(i), []byte(`{}`))
		f.Add(uint8(i), []byte(`{"ifVersion":1e}`)) // protojson takes it
	}
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		mt := types[int(which)%len(types)]
		name := mt.Descriptor().Name()
		got, want := mt.New().Interface(), mt.New().Interface()
		wantErr := protojson.Unmarshal(data, want)
		if !json.Valid(data) {
			wantErr = errors.New("not JSON")
		}
		err := rpc.DecodeBody(bytes.NewReader(data)).Decode(got)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%s %q: %v, want %v", name, data, err, wantErr)
		}
		if err != nil {
			if !refusal.MatchString(err.Error()) {
				t.Fatalf("%s %q: %v", name, data, err)
			}
		} else {
			if err := object(data); err != nil {
				t.Fatalf("%s %q was taken: %v", name, data, err)
			}
			if !proto.Equal(got, want) || len(got.ProtoReflect().GetUnknown()) > 0 {
				t.Fatalf("%s %q was read as %v, want %v", name, data, got, want)
			}
			out, err := protojson.Marshal(got)
			if err != nil {
				t.Fatalf("%s %q cannot be written out: %v", name, data, err)
			}
			again := mt.New().Interface()
			if err := rpc.DecodeBody(bytes.NewReader(out)).Decode(again); err != nil || !proto.Equal(got, again) {
				t.Fatalf("%s %q was written out as %q: %v", name, data, out, err)
			}
		}
		if bytes.ContainsAny(data, "\n") || len(bytes.TrimSpace(data)) == 0 {
			return
		}
		line := mt.New().Interface()
		if err := rpc.DecodeLines(bytes.NewReader(data)).Decode(line); err != nil {
			t.Fatalf("%s line %q: %v", name, data, err)
		}
		if rpc.IsMalformed(line) != (wantErr != nil) || wantErr == nil && !proto.Equal(line, want) {
			t.Fatalf("%s line %q was read as %v, want %v (%v)", name, data, line, want, wantErr)
		}
	})
}

// TestLines: rows do not depend on each other, nor on how the lines end.
func TestLines(t *testing.T) {
	long := func(n int) string { return `{"password":"` + strings.Repeat("x", n-len(`{"password":""}`)) + `"}` }
	const bad = "malformed"
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"nothing":         {"", nil},
		"blank":           {"\n \r\n\t\n", nil},
		"one":             {`{"password":"a"}`, []string{"a"}},
		"ends with LF":    {`{"password":"a"}` + "\n", []string{"a"}},
		"ends with CRLF":  {`{"password":"a"}` + "\r\n" + `{"password":"b"}` + "\r\n", []string{"a", "b"}},
		"blank between":   {`{"password":"a"}` + "\n\n\n" + `{"password":"b"}`, []string{"a", "b"}},
		"bad between":     {`{"password":"a"}` + "\n{\n" + `{"password":"b"}`, []string{"a", bad, "b"}},
		"bad at the end":  {`{"password":"a"}` + "\nnull", []string{"a", bad}},
		"two on a line":   {`{"password":"a"}{"password":"b"}` + "\n" + `{"password":"c"}`, []string{bad, "c"}},
		"over two lines":  {"{\"password\":\n\"a\"}\n" + `{"password":"b"}`, []string{bad, bad, "b"}},
		"longest":         {long(rpc.MaxLine) + "\n" + `{"password":"b"}`, []string{strings.Repeat("x", rpc.MaxLine-len(`{"password":""}`)), "b"}},
		"too long":        {long(rpc.MaxLine+1) + "\n" + `{"password":"b"}`, []string{bad, "b"}},
		"far too long":    {long(5*rpc.MaxLine) + "\n" + `{"password":"b"}`, []string{bad, "b"}},
		"too long at end": {`{"password":"a"}` + "\n" + long(5*rpc.MaxLine), []string{"a", bad}},
		"NUL":             {"\x00\n" + `{"password":"b"}`, []string{bad, "b"}},
		"byte order mark": {"\ufeff" + `{"password":"a"}` + "\n" + `{"password":"b"}`, []string{bad, "b"}},
	} {
		d := rpc.DecodeLines(strings.NewReader(c.text))
		var got []string
		for {
			m := &watchwordv1.BatchCheckPasswordsRequest{}
			err := d.Decode(m)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Errorf("%s: %v", name, err)
				break
			}
			if rpc.IsMalformed(m) {
				got = append(got, bad)
			} else {
				got = append(got, m.GetPassword())
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %.80s, want %.80s", name, fmt.Sprint(got), fmt.Sprint(c.want))
		}
	}
}

// deadlines notes the limits of time that are set for reading.
type deadlines struct {
	http.ResponseWriter
	set []time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error { d.set = append(d.set, t); return nil }

// TestLinesHaveTheirTime has lines come byte by byte: a line has its time once,
// however it comes, blank ones and those that are too long as well; and none
// runs behind the end, whether or not a line feed comes before it.
func TestLinesHaveTheirTime(t *testing.T) {
	for _, c := range []struct {
		text  string
		lines int // and the end, unless it is that of the last line
	}{
		{"{}\n{}\n", 3},
		{"{}\n{}", 3},
		{"\n\n{}\n", 4},
		{strings.Repeat("x", 3*rpc.MaxLine) + "\n", 2},
	} {
		w := &deadlines{}
		d := rpc.DecodeLinesOf(iotest.OneByteReader(strings.NewReader(c.text)), w)
		var err error
		for err == nil {
			err = d.Decode(&watchwordv1.BatchCheckPasswordsRequest{})
		}
		if !errors.Is(err, io.EOF) {
			t.Errorf("%.20q: %v", c.text, err)
		}
		limits := 0
		for _, at := range w.set {
			if !at.IsZero() {
				limits++
			}
		}
		if limits != c.lines || len(w.set) == 0 || !w.set[len(w.set)-1].IsZero() {
			t.Errorf("%.20q: %d limits of time, want %d and none at the end: %v", c.text, limits, c.lines, w.set)
		}
	}
}
