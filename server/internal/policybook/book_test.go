// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package policybook_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/watchword-project/watchword/server/internal/boltstore"
	"github.com/watchword-project/watchword/server/internal/objects"
	"github.com/watchword-project/watchword/server/internal/password"
	"github.com/watchword-project/watchword/server/internal/policy"
	"github.com/watchword-project/watchword/server/internal/policybook"
	"github.com/watchword-project/watchword/server/internal/verifier"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func openStore(t testing.TB) objects.Store {
	t.Helper()
	s, err := boltstore.Open(t.TempDir(), boltstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func config(store objects.Store, dir string) policybook.Config {
	return policybook.Config{Store: store, Dir: dir, Default: policy.Default, Key: []byte("a key of thirty-two bytes or so."),
		Now: func() time.Time { return now }}
}

func open(t testing.TB, c policybook.Config) *policybook.Book {
	t.Helper()
	b, err := policybook.New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// doc is a policy of one rule, whose number tells its version.
func doc(version, length int) []byte {
	return fmt.Appendf(nil, "version: %d\nrules:\n  length: {min: %d}\n", version, length)
}

func write(t testing.TB, dir, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// settle looks twice: a change is taken once it has stayed.
func settle(t testing.TB, b *policybook.Book) error {
	t.Helper()
	_ = b.Refresh(t.Context())
	return b.Refresh(t.Context())
}

func version(t testing.TB, b *policybook.Book, tenant, name string) string {
	t.Helper()
	c, err := b.Policy(tenant, name, verifier.Pseudonym{})
	if err != nil {
		return err.Error()
	}
	v, _, _ := strings.Cut(c.Policy.Version(), ".")
	return v
}

func subject(i int) verifier.Pseudonym {
	var p verifier.Pseudonym
	sum := sha256.Sum256(fmt.Appendf(nil, "subject %d", i))
	copy(p[:], sum[:])
	return p
}

func put(t testing.TB, b *policybook.Book, tenant, name string, d []byte, ifVersion string) *policy.Policy {
	t.Helper()
	p, err := b.Put(t.Context(), tenant, name, d, ifVersion)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPoliciesOfThreeSources(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "house.yaml", doc(1, 9))
	write(t, dir, "house.app.yaml", []byte("version: 1\nextends: house\nrules:\n  size: {max_bytes: 256}\n"))
	write(t, dir, "notes.txt", []byte("not a policy"))
	write(t, dir, ".hidden.yaml", []byte("not a policy"))
	c := config(openStore(t), dir)
	c.Defaults = map[string]string{"acme": "house.app"}
	b := open(t, c)
	put(t, b, "acme", "acme.own", []byte("version: 1\nextends: house.app\nrules:\n  length: {min: 11}\n"), "")

	var got []string
	for _, s := range b.List("acme") {
		got = append(got, fmt.Sprintf("%s builtin=%v default=%v", s.Policy.Name(), s.Builtin, s.Default))
	}
	want := []string{"acme.own builtin=false default=false", "asvs-5-l1 builtin=true default=false", "asvs-5-l2 builtin=true default=false",
		"asvs-5-l3 builtin=true default=false", "cis builtin=true default=false", "house builtin=false default=false",
		"house.app builtin=false default=true", "mlps-l2 builtin=true default=false", "mlps-l3 builtin=true default=false",
		"nist-800-63b-4 builtin=true default=false", "pci-4.0.1 builtin=true default=false"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("List (-want +got):\n%s", d)
	}
	for tenant, want := range map[string]string{"acme": "house.app", "other": policy.Default} {
		if c, err := b.Policy(tenant, "", verifier.Pseudonym{}); err != nil || c.Policy.Name() != want {
			t.Errorf("the default of %s = %v, want %s", tenant, c.Policy.Name(), want)
		}
	}
	// What extends a file that is gone later keeps what it inherited.
	s, err := b.Get("acme", "acme.own", "")
	if err != nil || !strings.Contains(string(s.Source), "extends: house.app") || !strings.Contains(string(s.Policy.Document()), "max_bytes: 256") {
		t.Errorf("Get = %v, %v", s, err)
	}
	for _, x := range []struct {
		name, version string
		want          error
	}{{"cis", "9.000000000000", policybook.ErrUnknownVersion}, {"acme.own", "1.0", policybook.ErrUnknownVersion}, {"nowhere", "", verifier.ErrUnknownPolicy}} {
		if _, err := b.Get("acme", x.name, x.version); !errors.Is(err, x.want) {
			t.Errorf("Get(%s, %s) = %v, want %v", x.name, x.version, err, x.want)
		}
	}
	for name, want := range map[string]error{"cis": policybook.ErrBuiltin, "house": policybook.ErrFromFile} {
		if _, err := b.Put(t.Context(), "acme", name, doc(2, 10), ""); !errors.Is(err, want) {
			t.Errorf("Put(%s) = %v, want %v", name, err, want)
		}
	}
}

func TestStartRefusesWhatItCannotServe(t *testing.T) {
	t.Parallel()
	bad := t.TempDir()
	write(t, bad, "x.yaml", []byte("rules: {lenght: {min: 9}}"))
	for name, change := range map[string]func(*policybook.Config){
		"no such directory":        func(c *policybook.Config) { c.Dir = filepath.Join(bad, "none") },
		"a broken file":            func(c *policybook.Config) { c.Dir = bad },
		"an unknown default":       func(c *policybook.Config) { c.Default = "nowhere" },
		"a tenant without default": func(c *policybook.Config) { c.Defaults = map[string]string{"acme": "nowhere"} },
	} {
		c := config(openStore(t), "")
		change(&c)
		if _, err := policybook.New(t.Context(), c); err == nil {
			t.Errorf("%s: the start succeeded", name)
		}
	}
}

// judged is what one judgement of the swapped policy says of itself.
type judged struct{ version, length string }

// whole tells whether a verdict is of one version: its number is the length
// that it asks for, less ten.
func (j judged) whole() bool {
	var v, l int
	_, err := fmt.Sscan(j.version+" "+j.length, &v, &l)
	return err == nil && l == 10+v%100
}

func TestSwapsWhileJudging(t *testing.T) {
	t.Parallel()
	if (judged{"7", "18"}).whole() || !(judged{"7", "17"}).whole() {
		t.Fatal("a mixture of two versions is not seen")
	}
	const swaps = 300
	dir := t.TempDir()
	set := func(i int) {
		write(t, dir, "base.yaml", doc(i, 10+i%100))
		write(t, dir, "app.yaml", fmt.Appendf(nil, "version: %d\nextends: base\nrules:\n  size: {max_bytes: 1000}\n", i))
	}
	set(0)
	c := config(openStore(t), dir)
	c.Default = "app"
	b := open(t, c)
	text, err := password.New("short")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var judges sync.WaitGroup
	seen := make([]map[string]bool, 4)
	for g := range seen {
		seen[g] = map[string]bool{}
		judges.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					if n > 0 {
						return
					}
				default:
				}
				c, err := b.Policy("any", "", verifier.Pseudonym{})
				if err != nil {
					t.Error(err)
					return
				}
				v := c.Policy.Judge(text, policy.SingleFactor, policy.Signup, policy.Context{}, policy.Evidence{})
				number, _, _ := strings.Cut(v.Version, ".")
				if j := (judged{number, v.Violations[0].Params["min"]}); !j.whole() {
					t.Errorf("a verdict of two versions: %v", j)
					return
				}
				seen[g][number] = true
				time.Sleep(100 * time.Microsecond)
			}
		})
	}
	for i := 1; i <= swaps; i++ {
		set(i)
		if err := settle(t, b); err != nil {
			t.Fatal(err)
		}
		if got := version(t, b, "any", "app"); got != fmt.Sprint(i) {
			t.Fatalf("after swap %d, version %s judges", i, got)
		}
	}
	close(done)
	judges.Wait()
	t.Logf("%d swaps, of which a judge saw %d", swaps, len(seen[0]))
}

func TestBrokenDirectoryKeepsTheLastGoodSet(t *testing.T) {
	t.Parallel()
	outside := filepath.Join(t.TempDir(), "outside.yaml")
	if err := os.WriteFile(outside, doc(9, 9), 0o600); err != nil {
		t.Fatal(err)
	}
	var bomb strings.Builder
	bomb.WriteString("version: 1\nlocked: &a [length]\n")
	for i := range 30 {
		fmt.Fprintf(&bomb, "x%d: &b%d [*a, *a, *a, *a, *a, *a, *a, *a]\n", i, i)
	}
	for name, spoil := range map[string]func(dir string) error{
		"half written": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "a.yaml"), []byte("version: 2\nrules: {leng"), 0o600)
		},
		"unknown key": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "a.yaml"), []byte("versoin: 2\n"), 0o600)
		},
		"empty": func(dir string) error { return os.WriteFile(filepath.Join(dir, "a.yaml"), nil, 0o600) },
		"contradiction": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "a.yaml"), []byte("version: 2\nrules: {length: {min: 90}, size: {max_bytes: 64}}"), 0o600)
		},
		"bomb": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "a.yaml"), []byte(bomb.String()), 0o600)
		},
		"deep": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "a.yaml"), []byte(strings.Repeat("[", 60_000)), 0o600)
		},
		"huge": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "a.yaml"), []byte(strings.Repeat("# ", 50<<20)), 0o600)
		},
		"two dots":      func(dir string) error { return os.WriteFile(filepath.Join(dir, "a..b.yaml"), doc(2, 9), 0o600) },
		"upper case":    func(dir string) error { return os.WriteFile(filepath.Join(dir, "A.yaml"), doc(2, 9), 0o600) },
		"built-in name": func(dir string) error { return os.WriteFile(filepath.Join(dir, "cis.yaml"), doc(2, 9), 0o600) },
		"link out":      func(dir string) error { return os.Symlink(outside, filepath.Join(dir, "b.yaml")) },
		"link to nil":   func(dir string) error { return os.Symlink("none.yaml", filepath.Join(dir, "b.yaml")) },
		"pipe":          func(dir string) error { return syscall.Mkfifo(filepath.Join(dir, "b.yaml"), 0o600) },
		"directory":     func(dir string) error { return os.Mkdir(filepath.Join(dir, "b.yaml"), 0o700) },
		"default gone":  func(dir string) error { return os.Remove(filepath.Join(dir, "a.yaml")) },
		"no parent": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "b.yaml"), []byte("version: 1\nextends: none\n"), 0o600)
		},
		"all gone": os.RemoveAll,
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "policies")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			write(t, dir, "a.yaml", doc(1, 9))
			c := config(openStore(t), dir)
			c.Default = "a"
			b := open(t, c)
			if err := spoil(dir); err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			err := settle(t, b)
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("two looks took %v", took)
			}
			if err == nil || strings.Contains(err.Error(), "leng") && name == "half written" {
				t.Errorf("Refresh = %v, want an error that names no content", err)
			}
			if got := version(t, b, "any", ""); got != "1" {
				t.Errorf("version %s judges, want 1", got)
			}
			b.List("any")
			if again := b.Refresh(t.Context()); again == nil || again.Error() != err.Error() {
				t.Errorf("a third look says %v, the second said %v", again, err)
			}
			// Mended, it is taken.
			if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700)); err != nil {
				t.Fatal(err)
			}
			write(t, dir, "a.yaml", doc(3, 9))
			if err := settle(t, b); err != nil {
				t.Errorf("the mended directory: %v", err)
			}
			if got := version(t, b, "any", ""); got != "3" {
				t.Errorf("version %s judges, want 3", got)
			}
		})
	}
}

// TestWriterIsWaitedFor: a file that is cut short between two lines is a policy
// with fewer rules, so a directory is not taken while it still changes.
func TestWriterIsWaitedFor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "a.yaml", doc(1, 9))
	c := config(openStore(t), dir)
	c.Default = "a"
	b := open(t, c)
	for _, part := range []string{"version: 2\n", "version: 2\nrules:\n  length: {min: 20}\n", "version: 2\nrules:\n  length: {min: 20}\n  size: {max_bytes: 200}\n"} {
		write(t, dir, "a.yaml", []byte(part))
		if err := b.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := version(t, b, "any", ""); got != "1" {
			t.Fatalf("a file that was being written was taken: version %s", got)
		}
	}
	if err := b.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := version(t, b, "any", ""); got != "2" {
		t.Errorf("version %s judges, want 2", got)
	}
}

// TestLinksWithinAreFollowed: that is how mounted configuration is swapped.
func TestLinksWithinAreFollowed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i, d := range []string{"..one", "..two"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, d), "a.yaml", doc(i+1, 9))
	}
	link := func(from, to string) {
		if err := errors.Join(os.Symlink(to, filepath.Join(dir, "new")), os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, from))); err != nil {
			t.Fatal(err)
		}
	}
	link("..data", "..one")
	link("a.yaml", "..data/a.yaml")
	b := open(t, config(openStore(t), dir))
	link("..data", "..two")
	if err := settle(t, b); err != nil || version(t, b, "any", "a") != "2" {
		t.Errorf("after the swap: %v, version %s", err, version(t, b, "any", "a"))
	}
}

func TestRunReportsOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "a.yaml", doc(1, 9))
	b := open(t, config(openStore(t), dir))
	write(t, dir, "a.yaml", []byte("version: one"))
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*policybook.RefreshEvery+policybook.RefreshEvery/2)
		defer cancel()
		var reports []error
		b.Run(ctx, func(err error) { reports = append(reports, err) })
		if len(reports) != 1 {
			t.Errorf("fifty looks at a broken file gave %d reports, want 1: %v", len(reports), reports)
		}
	})
}

func TestLifeOfAStoredPolicy(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b := open(t, config(openStore(t), ""))
	one := put(t, b, "acme", "own", doc(1, 9), "")
	judges := func(when string, enforced, shadow string) {
		t.Helper()
		c, err := b.Policy("acme", "own", subject(1))
		got := ""
		if c.Shadow != nil {
			got = c.Shadow.Version()
		}
		if err != nil || c.Policy.Version() != enforced || got != shadow {
			t.Errorf("%s: %s judges with %q in shadow, want %s with %q (%v)", when, c.Policy.Version(), got, enforced, shadow, err)
		}
	}
	judges("the first version is current at once", one.Version(), "")
	two := put(t, b, "acme", "own", doc(2, 12), one.Version())
	judges("a later one waits in shadow", one.Version(), two.Version())
	if _, err := b.Put(ctx, "acme", "own", doc(3, 12), one.Version()); !errors.Is(err, verifier.ErrConflict) {
		t.Errorf("Put over a version that is not the newest = %v, want a conflict", err)
	}
	if _, err := b.Put(ctx, "acme", "other", doc(3, 12), one.Version()); !errors.Is(err, verifier.ErrConflict) {
		t.Errorf("Put of a first version in the place of another = %v, want a conflict", err)
	}

	const people = 3000
	share := func() (n int, who map[int]bool) {
		who = map[int]bool{}
		for i := range people {
			c, err := b.Policy("acme", "own", subject(i))
			if err != nil {
				t.Fatal(err)
			}
			if c.Policy.Version() == two.Version() {
				who[i] = true
			}
		}
		return len(who), who
	}
	var before map[int]bool
	for _, percent := range []int{0, 1, 10, 37, 50, 90, 99} {
		if _, err := b.Roll(ctx, "acme", "own", two.Version(), percent, true); err != nil {
			t.Fatal(err)
		}
		n, who := share()
		p := float64(percent) / 100
		if d := math.Abs(float64(n) - p*people); d > 4*math.Sqrt(people*p*(1-p)) {
			t.Errorf("at %d %% the candidate judges %d of %d", percent, n, people)
		}
		for i := range before {
			if !who[i] {
				t.Fatalf("at %d %% subject %d goes back to the version before", percent, i)
			}
		}
		if again, _ := share(); again != n {
			t.Errorf("the same question gives %d and %d", n, again)
		}
		before = who
	}
	if c, _ := b.Policy("acme", "own", verifier.Pseudonym{}); c.Policy.Version() != one.Version() {
		t.Error("nobody in particular is judged by the candidate")
	}
	if _, err := b.Roll(ctx, "acme", "own", one.Version(), 50, false); !errors.Is(err, policybook.ErrUnknownVersion) {
		t.Errorf("Roll of a version that is not the candidate = %v", err)
	}
	if _, err := b.Roll(ctx, "acme", "own", "", 100, false); err != nil {
		t.Fatal(err)
	}
	judges("at 100 % it is current", two.Version(), "")
	three := put(t, b, "acme", "own", doc(3, 14), two.Version())
	judges("the third waits", two.Version(), three.Version())
	for _, x := range []struct {
		when string
		want string
	}{{"the first rollback drops the candidate", two.Version()}, {"the second goes back one version", one.Version()}} {
		if _, err := b.Rollback(ctx, "acme", "own"); err != nil {
			t.Fatal(err)
		}
		judges(x.when, x.want, "")
	}
	if _, err := b.Rollback(ctx, "acme", "own"); !errors.Is(err, policy.ErrNoEarlier) {
		t.Errorf("Rollback of the first version = %v", err)
	}
	if _, err := b.Roll(ctx, "acme", "own", "", 10, false); !errors.Is(err, policy.ErrNoCandidate) {
		t.Errorf("Roll without a candidate = %v", err)
	}
	for _, f := range []func() (policy.Rollout, error){
		func() (policy.Rollout, error) { return b.Roll(ctx, "acme", "none", "", 10, false) },
		func() (policy.Rollout, error) { return b.Rollback(ctx, "other tenant", "own") },
	} {
		if _, err := f(); !errors.Is(err, verifier.ErrUnknownPolicy) {
			t.Errorf("a change of no policy = %v", err)
		}
	}
	for _, v := range []*policy.Policy{one, two, three} {
		if s, err := b.Get("acme", "own", v.Version()); err != nil || s.Policy.Version() != v.Version() {
			t.Errorf("version %s is not kept: %v", v.Version(), err)
		}
	}
}

func TestTwoBooksOnOneStore(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	store := openStore(t)
	x, y := open(t, config(store, "")), open(t, config(store, ""))
	one := put(t, x, "acme", "own", doc(1, 9), "")
	if _, err := x.EditWords(ctx, "acme", add("anvil")); err != nil {
		t.Fatal(err)
	}
	if err := y.Refresh(ctx); err != nil || version(t, y, "acme", "own") != "1" || len(y.Words("acme").Words()) != 1 {
		t.Fatalf("the other book sees version %s and %v: %v", version(t, y, "acme", "own"), y.Words("acme").Words(), err)
	}
	// Neither overwrites what the other wrote meanwhile.
	put(t, y, "acme", "own", doc(2, 10), one.Version())
	if _, err := x.Put(ctx, "acme", "own", doc(3, 11), one.Version()); !errors.Is(err, verifier.ErrConflict) {
		t.Errorf("Put over another book's version = %v, want a conflict", err)
	}
	if _, err := x.EditWords(ctx, "acme", add("crate")); err != nil {
		t.Fatal(err)
	}
	d, err := y.EditWords(ctx, "acme", add("rocket"))
	if err != nil || !cmp.Equal(d.Words(), []string{"anvil", "crate", "rocket"}) || d.Version() != 3 {
		t.Errorf("words of both books: %v, version %d: %v", d.Words(), d.Version(), err)
	}
	// Both at once: every word arrives.
	var wg sync.WaitGroup
	for i, b := range []*policybook.Book{x, y, x, y} {
		wg.Go(func() {
			for n := range 10 {
				if _, err := b.EditWords(ctx, "acme", add(fmt.Sprintf("word%d-%d", i, n))); err != nil {
					t.Error(err)
				}
				if err := b.Refresh(ctx); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, b := range []*policybook.Book{x, y} {
		if err := b.Refresh(ctx); err != nil || len(b.Words("acme").Words()) != 43 || b.Words("acme").Version() != 43 {
			t.Errorf("%d words, version %d, want 43 of each: %v", len(b.Words("acme").Words()), b.Words("acme").Version(), err)
		}
	}
	third := open(t, config(store, ""))
	if third.Words("acme").Version() != 43 || version(t, third, "acme", "own") != "1" {
		t.Error("a book that starts anew sees something else")
	}
}

func add(words ...string) func(*policy.Dictionary) (*policy.Dictionary, error) {
	return func(d *policy.Dictionary) (*policy.Dictionary, error) { return d.Add(words...) }
}

func TestTenantsNeverCross(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	store := openStore(t)
	b := open(t, config(store, ""))
	put(t, b, "acme", "own", doc(1, 9), "")
	if _, err := b.EditWords(ctx, "acme", add("anvil")); err != nil {
		t.Fatal(err)
	}
	b.Record("acme", sample(t, "anvil-anvil"))
	if err := b.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	for _, b := range []*policybook.Book{b, open(t, config(store, ""))} {
		for _, tenant := range []string{"", "other", "acm", "acme\x01", objects.AllTenants} {
			if got := version(t, b, tenant, "own"); got != verifier.ErrUnknownPolicy.Error() {
				t.Errorf("tenant %q sees version %s of another's policy", tenant, got)
			}
			if b.Words(tenant).Version() != 0 || len(b.List(tenant)) != 8 {
				t.Errorf("tenant %q sees another's words or policies", tenant)
			}
			if _, err := b.Parse(tenant, "draft", []byte("version: 1\nextends: own\n")); err == nil {
				t.Errorf("tenant %q extends another's policy", tenant)
			}
		}
		if h, err := b.Recorded(ctx, "other"); err != nil || h.Total() != 0 {
			t.Errorf("another's outcomes: %d, %v", h.Total(), err)
		}
	}
	put(t, b, "other", "own", doc(5, 20), "")
	if version(t, b, "acme", "own") != "1" || version(t, b, "other", "own") != "5" {
		t.Error("two policies of one name are mixed up")
	}
}

func TestDictionaryOfManyLongWords(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b := open(t, config(openStore(t), ""))
	var words []string
	for i := range policy.MaxDictionary {
		words = append(words, strings.Repeat("词", 59)+fmt.Sprintf("%05d", i))
	}
	if _, err := b.EditWords(ctx, "acme", add(words...)); !errors.Is(err, policy.ErrDictionaryFull) {
		t.Errorf("1.8 MiB of words: %v, want ErrDictionaryFull", err)
	}
	if b.Words("acme").Version() != 0 {
		t.Error("words that were refused are there")
	}
	if _, err := b.EditWords(ctx, "acme", add(words[:5000]...)); err != nil {
		t.Errorf("0.9 MiB of words: %v", err)
	}
	d, err := b.EditWords(ctx, "acme", func(d *policy.Dictionary) (*policy.Dictionary, error) { return d.Clear(), nil })
	if err != nil || d.Version() != 2 || len(d.Words()) != 0 {
		t.Errorf("cleared: %d words, version %d, %v", len(d.Words()), d.Version(), err)
	}
	if d, err = b.EditWords(ctx, "acme", add("one")); err != nil || d.Version() != 3 {
		t.Errorf("after clearing: version %d, %v", d.Version(), err)
	}
}

// large is a policy document of about n bytes.
func large(version, n int, parent, section string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "version: %d\n", version)
	if parent != "" {
		fmt.Fprintf(&b, "extends: %s\n", parent)
	}
	fmt.Fprintf(&b, "rules:\n  %s:\n    words:\n", section)
	for i := 0; b.Len() < n && i < 1000; i++ {
		fmt.Fprintf(&b, "      - w%05d%s\n", i, strings.Repeat("x", 44))
	}
	if section == "fuzzy" {
		b.WriteString("    points: 5\n")
	}
	return []byte(b.String())
}

func TestLargePolicies(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	store := openStore(t)
	b := open(t, config(store, ""))
	var last *policy.Policy
	for i := 1; i <= 9; i++ {
		last = put(t, b, "acme", "own", large(i, 60_000, "", "contains"), "")
		if _, err := b.Roll(ctx, "acme", "own", "", 100, false); err != nil && i > 1 {
			t.Fatal(err)
		}
	}
	s, err := b.Get("acme", "own", "")
	if err != nil || s.Policy.Version() != last.Version() || len(s.Rollout.Releases) < 3 || len(s.Rollout.Releases) == 9 {
		t.Errorf("after nine versions of 60 KB: %d kept, %v", len(s.Rollout.Releases), err)
	}
	if _, err := b.Rollback(ctx, "acme", "own"); err != nil || version(t, b, "acme", "own") != "8" {
		t.Errorf("Rollback: %v, version %s", err, version(t, b, "acme", "own"))
	}
	// With what it inherits, this one is longer than any that can be read.
	var parse *policy.ParseError
	if _, err := b.Put(ctx, "acme", "child", large(1, 60_000, "own", "fuzzy"), ""); !errors.As(err, &parse) {
		t.Errorf("a policy that inherits too much: %v, want a *ParseError", err)
	}
	if _, err := policybook.New(ctx, config(store, "")); err != nil {
		t.Errorf("a start after all that: %v", err)
	}
}

func TestTooManyPolicies(t *testing.T) {
	t.Parallel()
	b := open(t, config(openStore(t), ""))
	for i := range policybook.MaxPolicies {
		put(t, b, "acme", fmt.Sprintf("p%d", i), doc(1, 9), "")
	}
	if _, err := b.Put(t.Context(), "acme", "more", doc(1, 9), ""); !errors.Is(err, policybook.ErrFull) {
		t.Errorf("one more = %v, want ErrFull", err)
	}
	put(t, b, "acme", "p7", doc(2, 9), "")
	put(t, b, "other", "more", doc(1, 9), "")
}

// TestBrokenStoredPolicy: one object that cannot be read is reported, leaves
// its last good version in force, and keeps nothing else from being read.
func TestBrokenStoredPolicy(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	store := openStore(t)
	b := open(t, config(store, ""))
	put(t, b, "acme", "own", doc(1, 9), "")
	if err := errors.Join(
		store.Save(ctx, objects.Object{Kind: "policy", Tenant: "acme", Name: "own", Version: 2, Data: []byte("{}")}),
		store.Save(ctx, objects.Object{Kind: "words", Tenant: "acme", Name: "current", Version: 1, Data: []byte("[]")}),
	); err != nil {
		t.Fatal(err)
	}
	put(t, open2(t, store), "zoo", "own", doc(7, 9), "")
	if err := b.Refresh(ctx); err == nil {
		t.Error("nothing was reported")
	}
	if version(t, b, "acme", "own") != "1" || version(t, b, "zoo", "own") != "7" {
		t.Errorf("acme has version %s, want 1; zoo has %s, want 7", version(t, b, "acme", "own"), version(t, b, "zoo", "own"))
	}
	if _, err := policybook.New(ctx, config(store, "")); err == nil {
		t.Error("a start with it succeeded")
	}
}

// open2 is a second book that sees only what it stores itself.
func open2(t *testing.T, store objects.Store) *policybook.Book {
	return open(t, config(blind{store}, ""))
}

func sample(t testing.TB, s string) policy.Sample {
	t.Helper()
	text, err := password.New(s)
	if err != nil {
		t.Fatal(err)
	}
	return policy.Sample{Text: text, Evidence: policy.Evidence{Estimate: &policy.Estimate{GuessesLog10: float64(len(s))}}}
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	store := openStore(t)
	x, y := open(t, config(store, "")), open(t, config(store, ""))
	var wg sync.WaitGroup
	const each = 500
	for _, b := range []*policybook.Book{x, x, y, y} {
		wg.Go(func() {
			for i := range each {
				b.Record("acme", sample(t, strings.Repeat("a", 1+i%40)))
				if i%100 == 99 {
					if err := b.Flush(ctx); err != nil {
						t.Error(err)
					}
					if h, err := b.Recorded(ctx, "acme"); err != nil || h.Total() == 0 {
						t.Errorf("%d outcomes, %v", h.Total(), err)
					}
				}
			}
		})
	}
	wg.Wait()
	for _, b := range []*policybook.Book{x, y, open(t, config(store, ""))} {
		if h, err := b.Recorded(ctx, "acme"); err != nil || h.Total() != 4*each {
			t.Errorf("%d outcomes, want %d: %v", h.Total(), 4*each, err)
		}
	}
}

func TestOutcomesOutliveAFailingStore(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	store := &failing{Store: openStore(t)}
	b := open(t, config(store, ""))
	b.Record("acme", sample(t, "one"))
	store.fail = true
	if err := b.Flush(ctx); err == nil {
		t.Error("Flush succeeded")
	}
	b.Record("acme", sample(t, "two and more"))
	store.fail = false
	if err := b.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if h, err := open(t, config(store, "")).Recorded(ctx, "acme"); err != nil || h.Total() != 2 {
		t.Errorf("%d outcomes, want 2: %v", h.Total(), err)
	}
}

// TestManyOutcomesFit records more kinds of outcomes than one object holds
// without compression.
func TestManyOutcomesFit(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b := open(t, config(openStore(t), ""))
	n := uint64(0)
	for length := 1; length <= 60; length++ {
		for log := range 40 {
			for _, purpose := range []policy.Purpose{policy.Signup, policy.Reset} {
				for _, status := range []uint64{0, 1, 1000} {
					s := sample(t, strings.Repeat("aB1", 20)[:length])
					s.Purpose, s.Evidence.Estimate.GuessesLog10 = purpose, float64(log)
					s.Evidence.Breach = policy.Breach{Found: status > 0, Count: status}
					b.Record("acme", s)
					n++
				}
			}
		}
	}
	if err := b.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	h, err := b.Recorded(ctx, "acme")
	if err != nil || h.Total()+h.Dropped != n || h.Total() < n/2 {
		t.Errorf("%d kept and %d given up of %d: %v", h.Total(), h.Dropped, n, err)
	}
	t.Logf("%d cells of %d outcomes are kept", h.Len(), n)
}

// failing is a store that can fail to write.
type failing struct {
	objects.Store
	fail bool
}

func (f *failing) Save(ctx context.Context, o objects.Object) error {
	if f.fail {
		return errors.New("no room")
	}
	return f.Store.Save(ctx, o)
}

// blind is a store that lists nothing.
type blind struct{ objects.Store }

func (blind) List(context.Context, string, string) iter.Seq2[objects.Object, error] {
	return func(func(objects.Object, error) bool) {}
}
