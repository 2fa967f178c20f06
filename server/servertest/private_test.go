// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package servertest_test

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
	"github.com/watchword-project/watchword/client"
	"github.com/watchword-project/watchword/server/servertest"
	"github.com/watchword-project/watchword/wordlists"
	"github.com/watchword-project/watchword/wordlists/private"
)

// privateList makes a list of words with a key of its own, and gives its entry
// in the configuration.
func privateList(t testing.TB, words string) (entry string, version private.Version) {
	t.Helper()
	dir := t.TempDir()
	key, err := private.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	path, keyFile := filepath.Join(dir, "list.wwpr"), filepath.Join(dir, "list.key")
	h, _, err := private.Build(t.Context(), path, private.BuildOptions{Words: private.Lines(strings.NewReader(words)), Key: key})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(keyFile, key.Text(), 0o600); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("{path: %s, key_file: %s}", path, keyFile), h.Version()
}

func asker(t testing.TB, addr, key string, version private.Version) *client.Client {
	t.Helper()
	c, err := client.New(client.Options{Addr: addr, Key: key, PrivateList: version.String()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestPrivateCheck asks two lists of one server, one of which took the place of
// the other.
func TestPrivateCheck(t *testing.T) {
	before, v1 := privateList(t, "sunflower\n")
	after, v2 := privateList(t, "sunflower\nhunter2\n")
	s := servertest.Start(t, servertest.Options{Config: "private: {checks_per_second: 100, lists: [" + before + ", " + after + "]}"})
	one, two := asker(t, s.GRPCAddr, s.Key, v1), asker(t, s.GRPCAddr, s.Key, v2)
	for _, c := range []struct {
		c              *client.Client
		password       string
		found, similar bool
	}{
		{one, "sunflower", true, false},
		{one, "sunfl0wer", false, true},
		{one, "sunflower2", false, true},
		{one, "hunter2", false, false},
		{two, "hunter2", true, false},
		{two, goodPassword, false, false},
		{two, goodPassword, false, false},
	} {
		found, similar, err := c.c.PrivateCheck(t.Context(), c.password)
		if err != nil || found != c.found || similar != c.similar {
			t.Errorf("%s: %v %v %v, want %v %v", c.password, found, similar, err, c.found, c.similar)
		}
	}
	if _, _, err := s.Client.PrivateCheck(t.Context(), "sunflower"); !errors.Is(err, client.ErrNoPrivateList) {
		t.Errorf("without a version: %v", err)
	}
	var invalid *client.InvalidError
	if _, _, err := one.PrivateCheck(t.Context(), ""); !errors.As(err, &invalid) || invalid.Field != "password" {
		t.Errorf("an empty password: %v", err)
	}
	if _, err := client.New(client.Options{PrivateList: "v1"}); err == nil {
		t.Error("a version that is none is taken")
	}
	for name, s := range map[string]*servertest.Server{"another version": s, "none configured": servertest.New(t)} {
		if _, _, err := asker(t, s.GRPCAddr, s.Key, private.Version{1}).PrivateCheck(t.Context(), "sunflower"); !errors.Is(err, client.ErrNotFound) {
			t.Errorf("%s: %v, want ErrNotFound", name, err)
		}
	}
}

// TestPrivateCheckIsBounded: the elements that a caller may send are counted for
// each caller apart, and those of a wrong number do not count.
func TestPrivateCheckIsBounded(t *testing.T) {
	entry, version := privateList(t, "sunflower\n")
	s := servertest.Start(t, servertest.Options{Config: "private: {checks_per_second: 0.001, lists: [" + entry + "]}"})
	_, secret, err := s.Client.CreateKey(t.Context(), client.NewKey{Name: "other", Scopes: []string{"breach.query"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{s.Key, secret} {
		c := asker(t, s.GRPCAddr, key, version)
		raw := watchwordv1.NewBreachServiceClient(c.Conn())
		if _, err := raw.PrivateCheck(t.Context(), &watchwordv1.PrivateCheckRequest{Version: version.String()}); err == nil {
			t.Error("no elements are taken")
		}
		if found, _, err := c.PrivateCheck(t.Context(), "sunflower"); !found || err != nil {
			t.Errorf("the first check: %v %v", found, err)
		}
		var busy *client.BusyError
		if _, _, err := c.PrivateCheck(t.Context(), "sunflower"); !errors.As(err, &busy) || busy.Reason != "CALLER_QUOTA" {
			t.Errorf("the second check: %v, want CALLER_QUOTA", err)
		}
	}
}

// TestBadPrivateRequests: what is not in order is refused by name through REST,
// without a word of it in the answer.
func TestBadPrivateRequests(t *testing.T) {
	entry, version := privateList(t, "sunflower\n")
	s := servertest.Start(t, servertest.Options{Config: "private: {checks_per_second: 1000, lists: [" + entry + "]}"})
	point, err := base64.StdEncoding.DecodeString("4vKuCmq8TnGohKlhxQBRX1jjC2qlgt2NtqZZReCNLXY=") // the generator, RFC 9496, 4.1
	if err != nil {
		t.Fatal(err)
	}
	with := func(e []byte) [][]byte { return append(slices.Repeat([][]byte{point}, private.Elements-1), e) }
	type body map[string]any
	v := version.String()
	for name, c := range map[string]struct {
		route  string
		body   any
		code   int
		answer string
	}{
		"right":                   {"privateCheck", body{"version": v, "elements": with(point)}, 200, `"proof"`},
		"identity":                {"privateCheck", body{"version": v, "elements": with(make([]byte, 32))}, 400, "elements: an element is not a point"},
		"off the curve":           {"privateCheck", body{"version": v, "elements": with(bytes.Repeat([]byte{0xff}, 32))}, 400, "elements: an element is not a point"},
		"too short":               {"privateCheck", body{"version": v, "elements": with(point[:31])}, 400, "elements: an element is not a point"},
		"one more":                {"privateCheck", body{"version": v, "elements": append(with(point), point)}, 400, "elements: not 32 elements"},
		"10,000":                  {"privateCheck", body{"version": v, "elements": slices.Repeat([][]byte{point}, 10_000)}, 400, "elements: not 32 elements"},
		"no version":              {"privateCheck", body{"elements": with(point)}, 400, "version: not 64 hexadecimal digits"},
		"another version":         {"privateCheck", body{"version": strings.Repeat("ab", 32), "elements": with(point)}, 404, "no such private list"},
		"a bucket":                {"privateBucket", body{"version": v, "bucket": 0}, 200, `"records"`},
		"no such bucket":          {"privateBucket", body{"version": v, "bucket": 1}, 400, "bucket: the list has no such bucket"},
		"no bucket":               {"privateBucket", body{"version": v}, 400, "bucket: missing"},
		"the last bucket":         {"privateBucket", body{"version": v, "bucket": uint32(1<<32 - 1)}, 400, "bucket: the list has no such bucket"},
		"a bucket of another":     {"privateBucket", body{"version": strings.Repeat("ab", 32), "bucket": 0}, 404, "no such private list"},
		"the header":              {"privateList", body{"version": v}, 200, `"header"`},
		"the header of no list":   {"privateList", body{}, 400, "version: not 64 hexadecimal digits"},
		"not a version":           {"privateList", body{"version": strings.Repeat("zz", 32)}, 400, "version: not 64 hexadecimal digits"},
		"elements that are texts": {"privateCheck", `{"version": "` + v + `", "elements": "secret"}`, 400, "column 93 of the body: not what belongs there"},
	} {
		text, ok := c.body.(string)
		if !ok {
			b, err := json.Marshal(c.body)
			if err != nil {
				t.Fatal(err)
			}
			text = string(b)
		}
		code, answer := s.Post("/v1/breaches:"+c.route, text)
		if code != c.code || !strings.Contains(answer, c.answer) || strings.Contains(answer, "zzzz") || strings.Contains(answer, "abab") || strings.Contains(answer, "secret") {
			t.Errorf("%s: %d %.300s, want %d with %q", name, code, answer, c.code, c.answer)
		}
	}
}

// between stands between a client and a server, and changes what passes.
type between struct {
	watchwordv1.UnimplementedBreachServiceServer
	to     watchwordv1.BreachServiceClient
	header func(*watchwordv1.GetPrivateListResponse)
	bucket func(*watchwordv1.GetPrivateBucketRequest, *watchwordv1.GetPrivateBucketResponse)
	check  func(*watchwordv1.PrivateCheckResponse)
	sizes  map[string]int // of everything that passed
}

func (b *between) passed(question, answer proto.Message) {
	b.sizes[fmt.Sprintf("%T %d, %d", question, proto.Size(question), proto.Size(answer))]++
}

func (b *between) GetPrivateList(ctx context.Context, m *watchwordv1.GetPrivateListRequest) (*watchwordv1.GetPrivateListResponse, error) {
	r, err := b.to.GetPrivateList(ctx, m)
	if err == nil && b.header != nil {
		b.header(r)
	}
	return r, err
}

func (b *between) GetPrivateBucket(ctx context.Context, m *watchwordv1.GetPrivateBucketRequest) (*watchwordv1.GetPrivateBucketResponse, error) {
	m = proto.CloneOf(m)
	if b.bucket != nil {
		b.bucket(m, nil)
	}
	r, err := b.to.GetPrivateBucket(ctx, m)
	if err == nil && b.bucket != nil {
		b.bucket(nil, r)
	}
	b.passed(m, r)
	return r, err
}

func (b *between) PrivateCheck(ctx context.Context, m *watchwordv1.PrivateCheckRequest) (*watchwordv1.PrivateCheckResponse, error) {
	r, err := b.to.PrivateCheck(ctx, m)
	if err == nil && b.check != nil {
		b.check(r)
	}
	b.passed(m, r)
	return r, err
}

// TestBadPrivateAnswers: whatever stands between, the client takes only what
// belongs to its list and its question.
func TestBadPrivateAnswers(t *testing.T) {
	var words strings.Builder
	for i := range 2100 {
		fmt.Fprintf(&words, "%c%cword%d\n", 'a'+i%26, 'a'+i/26%26, i)
	}
	words.WriteString("sunflower\n")
	entry, version := privateList(t, words.String())
	marking, other := privateList(t, words.String())
	s := servertest.Start(t, servertest.Options{Config: "private: {checks_per_second: 1000, lists: [" + entry + ", " + marking + "]}"})
	raw := watchwordv1.NewBreachServiceClient(s.Client.Conn())

	var replayed *watchwordv1.PrivateCheckResponse
	var sizes []map[string]int
	for _, c := range []struct {
		name string
		b    between
		want error
	}{
		{"nothing changed", between{check: func(r *watchwordv1.PrivateCheckResponse) { replayed = proto.CloneOf(r) }}, nil},
		{"header of another list", between{header: func(r *watchwordv1.GetPrivateListResponse) {
			h, err := raw.GetPrivateList(t.Context(), &watchwordv1.GetPrivateListRequest{Version: other.String()})
			if err != nil {
				t.Error(err)
			}
			r.Header = h.GetHeader()
		}}, private.ErrVersion},
		{"header cut short", between{header: func(r *watchwordv1.GetPrivateListResponse) { r.Header = r.Header[:127] }}, private.ErrVersion},
		{"another bucket", between{bucket: func(m *watchwordv1.GetPrivateBucketRequest, _ *watchwordv1.GetPrivateBucketResponse) {
			if m != nil {
				*m.Bucket ^= 1
			}
		}}, private.ErrBucket},
		{"the other list's bucket", between{bucket: func(m *watchwordv1.GetPrivateBucketRequest, _ *watchwordv1.GetPrivateBucketResponse) {
			if m != nil {
				m.Version = other.String()
			}
		}}, private.ErrBucket},
		{"bucket cut short", between{bucket: func(_ *watchwordv1.GetPrivateBucketRequest, r *watchwordv1.GetPrivateBucketResponse) {
			if r != nil {
				r.Records = r.Records[:len(r.Records)-8]
			}
		}}, private.ErrBucket},
		{"a replayed answer", between{check: func(r *watchwordv1.PrivateCheckResponse) { proto.Reset(r); proto.Merge(r, replayed) }}, private.ErrProof},
		{"an answer cut short", between{check: func(r *watchwordv1.PrivateCheckResponse) { r.Elements = r.Elements[1:] }}, private.ErrCount},
		{"no proof", between{check: func(r *watchwordv1.PrivateCheckResponse) { r.Proof = nil }}, private.ErrProof},
		{"an identity", between{check: func(r *watchwordv1.PrivateCheckResponse) { r.Elements[3] = make([]byte, 32) }}, private.ErrElement},
		{"10,000 elements", between{check: func(r *watchwordv1.PrivateCheckResponse) { r.Elements = slices.Repeat(r.Elements[:1], 10_000) }}, private.ErrCount},
	} {
		b := c.b
		b.to, b.sizes = raw, map[string]int{}
		found, similar, err := asker(t, serve(t, &b), s.Key, version).PrivateCheck(t.Context(), "sunflower")
		if !errors.Is(err, c.want) || found != (c.want == nil) || c.want != nil && (similar || !errors.Is(err, client.ErrPrivateAnswer)) {
			t.Errorf("%s: %v %v %v, want %v", c.name, found, similar, err, c.want)
		}
	}

	// A server that has a key of its own for one of those who ask.
	b := between{to: raw, sizes: map[string]int{}}
	c := asker(t, serve(t, &b), s.Key, version)
	if found, _, err := c.PrivateCheck(t.Context(), "sunflower"); !found || err != nil {
		t.Errorf("before: %v %v", found, err)
	}
	b.to = otherKey{raw, other.String()}
	if found, _, err := c.PrivateCheck(t.Context(), "sunflower"); found || !errors.Is(err, private.ErrProof) {
		t.Errorf("a key for one: %v %v, want ErrProof", found, err)
	}

	// Whoever counts bytes sees no difference between passwords.
	for _, pw := range []string{"a", "sunflower", strings.Repeat("long ", 500), "12345678", goodPassword} {
		b := between{to: raw, sizes: map[string]int{}}
		if _, _, err := asker(t, serve(t, &b), s.Key, version).PrivateCheck(t.Context(), pw); err != nil {
			t.Error(err)
		}
		sizes = append(sizes, b.sizes)
	}
	for _, got := range sizes[1:] {
		if len(got) != 2 || !maps.Equal(got, sizes[0]) {
			t.Errorf("sizes differ: %v, %v", got, sizes[0])
		}
	}
}

// otherKey evaluates with the key of another list.
type otherKey struct {
	watchwordv1.BreachServiceClient
	version string
}

func (o otherKey) PrivateCheck(ctx context.Context, m *watchwordv1.PrivateCheckRequest, opts ...grpc.CallOption) (*watchwordv1.PrivateCheckResponse, error) {
	m = proto.CloneOf(m)
	m.Version = o.version
	return o.BreachServiceClient.PrivateCheck(ctx, m, opts...)
}

func serve(t testing.TB, b *between) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	watchwordv1.RegisterBreachServiceServer(s, b)
	go s.Serve(l)
	t.Cleanup(s.Stop)
	return l.Addr().String()
}

// BenchmarkPrivateCheck asks a server over the loopback for a password: privately
// with the bucket at hand, and by a range of the same list.
func BenchmarkPrivateCheck(b *testing.B) {
	entry, version := privateList(b, "sunflower\n"+strings.Join(manyWords(20_000), "\n"))
	corpus := filepath.Join(b.TempDir(), "a.wwix")
	_, err := wordlists.Build(b.Context(), wordlists.BuildOptions{Reader: strings.NewReader("sunflower\n" + strings.Join(manyWords(20_000), "\n")),
		Out: corpus, Kind: wordlists.SHA1, From: wordlists.FromWords, Full: true, Name: "a"})
	if err != nil {
		b.Fatal(err)
	}
	s := servertest.Start(b, servertest.Options{Config: "corpora: [{name: a, path: " + corpus + "}]\nprivate: {checks_per_second: 10000, lists: [" + entry + "]}"})
	c := asker(b, s.GRPCAddr, s.Key, version)
	b.Run("private", func(b *testing.B) {
		for b.Loop() {
			if found, _, err := c.PrivateCheck(b.Context(), "sunflower"); !found || err != nil {
				b.Fatal(found, err)
			}
		}
	})
	b.Run("range", func(b *testing.B) {
		raw := watchwordv1.NewBreachServiceClient(c.Conn())
		for b.Loop() {
			sum := sha1.Sum([]byte("sunflower"))
			digest := strings.ToUpper(hex.EncodeToString(sum[:]))
			r, err := raw.GetRange(b.Context(), &watchwordv1.GetRangeRequest{Prefix: digest[:5], Padding: true})
			if err != nil || !bytes.Contains(r.GetBody(), []byte(digest[5:])) {
				b.Fatal(err)
			}
		}
	})
}
