// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package pepper_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/watchword-project/watchword/server/internal/pepper"
)

const phc = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$k9ohroejZy1PN5E1SbHNPug6vB8eQAahb5SOAp6iGF4"

// hashes are of all shapes that a stored hash has.
var hashes = []string{
	phc,
	"$2b$04$CCCCCCCCCCCCCCCCCCCCC.ug0A3dTXhy5U.dFjx/qguZ8I4CB77BC",
	"{SSHA}zzfXz6I6jnz8D1zOmwDXU8UieuQA/3NhbHR5IQ==",
	"AQAAAAIAAAAyAAAAEOMwvh3+FZxqkdMBz2ekgGhwQ4B6pZWND6zgESBuWiHw",
	"pbkdf2_sha256$1000$seasalt$mQnueSakb748zqBAC1tmWVZsZbi2zPGZarEzTGdfmso=",
	"$S$DeIZ1KTE.VzRvudZ5.xgOakipuMFrVyPmRdWTjAdYieWj27NMglI",
}

var bob = pepper.Binding{Tenant: "default", Subject: []byte("0123456789abcdef")}

func ring(t testing.TB, keys ...pepper.Key) *pepper.Keyring {
	t.Helper()
	k, err := pepper.NewKeyring(keys)
	if err != nil {
		t.Fatalf("NewKeyring: %v", err)
	}
	return k
}

func sealers() map[string]func() pepper.Sealer {
	return map[string]func() pepper.Sealer{
		"AES": func() pepper.Sealer { return pepper.NewAES(pepper.NewSecret()) },
		"SM4": func() pepper.Sealer { return pepper.NewSM4(pepper.NewSecret()) },
	}
}

func TestSealAndOpen(t *testing.T) {
	for name, sealer := range sealers() {
		k := ring(t, pepper.Key{ID: "k1", State: pepper.Active, Sealer: sealer()})
		for _, hash := range hashes {
			sealed, err := k.Seal(t.Context(), hash, bob)
			if err != nil {
				t.Fatalf("%s: Seal(%q): %v", name, hash, err)
			}
			if tag := hash[len(hash)-20:]; strings.Contains(sealed, tag) || !pepper.Sealed(sealed) {
				t.Errorf("%s: %q still holds the tag of %q", name, sealed, hash)
			}
			if again, _ := k.Seal(t.Context(), hash, bob); again == sealed {
				t.Errorf("%s: sealing twice gave the same: the nonce repeats", name)
			}
			got, id, err := k.Open(t.Context(), sealed, bob)
			if err != nil || got != hash || id != "k1" {
				t.Errorf("%s: Open = %q, %q, %v, want %q", name, got, id, err, hash)
			}
			if id, err := pepper.KeyID(sealed); err != nil || id != "k1" {
				t.Errorf("%s: KeyID = %q, %v", name, id, err)
			}
			if _, err := k.Seal(t.Context(), sealed, bob); !errors.Is(err, pepper.ErrMalformed) {
				t.Errorf("%s: sealing what is sealed = %v", name, err)
			}
		}
	}
}

// Whatever one changes in a row, it no longer opens.
func TestSealedHashIsBoundToItsRow(t *testing.T) {
	for name, sealer := range sealers() {
		one, two := sealer(), sealer()
		k := ring(t,
			pepper.Key{ID: "k1", State: pepper.Active, Sealer: one},
			pepper.Key{ID: "k2", State: pepper.DecryptOnly, Sealer: two},
			pepper.Key{ID: "k3", State: pepper.DecryptOnly, Sealer: one})
		sealed, err := k.Seal(t.Context(), phc, bob)
		if err != nil {
			t.Fatal(err)
		}
		for what, b := range map[string]pepper.Binding{
			"other subject":    {Tenant: bob.Tenant, Subject: []byte("0123456789abcdeg")},
			"no subject":       {Tenant: bob.Tenant},
			"other tenant":     {Tenant: "other", Subject: bob.Subject},
			"moved boundary":   {Tenant: "default0", Subject: bob.Subject[1:]},
			"moved boundary 2": {Tenant: "defaul", Subject: append([]byte("t"), bob.Subject...)},
		} {
			if _, _, err := k.Open(t.Context(), sealed, b); !errors.Is(err, pepper.ErrTampered) {
				t.Errorf("%s: %s: Open = %v, want ErrTampered", name, what, err)
			}
		}
		for what, s := range map[string]string{
			"other key":              strings.Replace(sealed, "k=k1", "k=k2", 1),
			"same key, other name":   strings.Replace(sealed, "k=k1", "k=k3", 1),
			"less memory":            strings.Replace(sealed, "m=19456", "m=8", 1),
			"other salt":             strings.Replace(sealed, "c29tZXNhbHR", "c29tZXNhbHS", 1),
			"other scheme":           strings.Replace(sealed, "argon2id", "argon2i", 1),
			"cut head":               sealed[:strings.LastIndex(sealed, "m=")-1] + "$",
			"nothing but the prefix": "$pepper$v=1,k=k1$$$",
		} {
			if _, _, err := k.Open(t.Context(), s, bob); !errors.Is(err, pepper.ErrTampered) {
				t.Errorf("%s: %s: Open = %v, want ErrTampered", name, what, err)
			}
		}
		for i := range sealed {
			for bit := range 8 {
				b := []byte(sealed)
				b[i] ^= 1 << bit
				if got, _, err := k.Open(t.Context(), string(b), bob); err == nil {
					t.Fatalf("%s: bit %d of byte %d flipped: Open = %q", name, bit, i, got)
				}
			}
			if got, _, err := k.Open(t.Context(), sealed[:i], bob); err == nil {
				t.Fatalf("%s: cut at %d: Open = %q", name, i, got)
			}
		}
	}
}

func TestRotation(t *testing.T) {
	old, fresh := pepper.NewAES(pepper.NewSecret()), pepper.NewSM4(pepper.NewSecret())
	before := ring(t, pepper.Key{ID: "old", State: pepper.Active, Sealer: old})
	during := ring(t,
		pepper.Key{ID: "old", State: pepper.DecryptOnly, Sealer: old},
		pepper.Key{ID: "new", State: pepper.Active, Sealer: fresh})
	after := ring(t,
		pepper.Key{ID: "old", State: pepper.Retired},
		pepper.Key{ID: "new", State: pepper.Active, Sealer: fresh})
	for _, hash := range hashes {
		sealed, err := before.Seal(t.Context(), hash, bob)
		if err != nil {
			t.Fatal(err)
		}
		var missing *pepper.KeyError
		if _, _, err := after.Open(t.Context(), sealed, bob); !errors.As(err, &missing) || missing.ID != "old" || !strings.Contains(err.Error(), "retired") {
			t.Errorf("Open under a retired key = %v, want its name", err)
		}
		moved, changed, err := during.Rewrap(t.Context(), sealed, bob)
		if err != nil || !changed {
			t.Fatalf("Rewrap = %v, %v", changed, err)
		}
		if got, id, err := after.Open(t.Context(), moved, bob); err != nil || got != hash || id != "new" {
			t.Errorf("Open after rotation = %q, %q, %v", got, id, err)
		}
		if same, changed, err := during.Rewrap(t.Context(), moved, bob); err != nil || changed || same != moved {
			t.Errorf("second Rewrap = %v, %v", changed, err)
		}
		if _, _, err := before.Open(t.Context(), moved, bob); !errors.As(err, &missing) || missing.ID != "new" || !strings.Contains(err.Error(), "missing") {
			t.Errorf("Open without the key = %v, want its name", err)
		}
	}
}

func TestWrongOrMissingKeyIsRefusedAtStart(t *testing.T) {
	for name, sealer := range sealers() {
		key := func(id string, s pepper.State) pepper.Key { return pepper.Key{ID: id, State: s, Sealer: sealer()} }
		k1, k2 := key("k1", pepper.Active), key("k2", pepper.DecryptOnly)
		checks, err := ring(t, k1, k2, pepper.Key{ID: "k0", State: pepper.Retired}).Checks(t.Context())
		if err != nil || len(checks) != 2 {
			t.Fatalf("%s: Checks = %v, %v", name, checks, err)
		}
		for what, c := range map[string]struct {
			keys    []pepper.Key
			problem string
		}{
			"right":          {[]pepper.Key{k1, k2}, ""},
			"with a new one": {[]pepper.Key{k1, k2, key("k3", pepper.DecryptOnly)}, ""},
			"retired":        {[]pepper.Key{k1, {ID: "k2", State: pepper.Retired}}, ""},
			"missing":        {[]pepper.Key{k1}, `"k2" is missing`},
			"wrong":          {[]pepper.Key{k1, key("k2", pepper.DecryptOnly)}, `"k2" is not the key`},
			"names swapped":  {[]pepper.Key{{ID: "k2", State: pepper.Active, Sealer: k1.Sealer}, {ID: "k1", State: pepper.DecryptOnly, Sealer: k2.Sealer}}, `"k1" is not the key`},
		} {
			err := ring(t, c.keys...).Verify(t.Context(), checks)
			var named *pepper.KeyError
			if c.problem == "" && err != nil || c.problem != "" && (!errors.As(err, &named) || !strings.Contains(err.Error(), c.problem)) {
				t.Errorf("%s: %s: Verify = %v, want %q", name, what, err, c.problem)
			}
		}
		checks["k2"] = "!"
		if err := ring(t, k1, k2).Verify(t.Context(), checks); err == nil {
			t.Errorf("%s: a damaged check value was taken", name)
		}
		// A check value must not be usable as somebody's hash.
		for id, c := range checks {
			if _, _, err := ring(t, k1, k2).Open(t.Context(), "$pepper$v=1,k="+id+"$"+c+"$", pepper.Binding{}); err == nil {
				t.Errorf("%s: a check value opens as a hash", name)
			}
		}
	}
}

// A module that cannot answer is not a wrong key.
func TestUnreachableSealer(t *testing.T) {
	k := ring(t, pepper.Key{ID: "hsm", State: pepper.Active, Sealer: away{}})
	if _, err := k.Seal(t.Context(), phc, bob); !errors.Is(err, errAway) {
		t.Errorf("Seal = %v", err)
	}
	if err := k.Verify(t.Context(), map[string]string{"hsm": "AAAA"}); !errors.Is(err, errAway) || errors.As(err, new(*pepper.KeyError)) {
		t.Errorf("Verify = %v", err)
	}
	if _, _, err := k.Open(t.Context(), "$pepper$v=1,k=hsm$AAAA$$x$", bob); !errors.Is(err, errAway) || errors.Is(err, pepper.ErrTampered) {
		t.Errorf("Open = %v", err)
	}
}

var errAway = errors.New("no connection to the module")

type away struct{}

func (away) Seal(context.Context, []byte, []byte) ([]byte, error) { return nil, errAway }
func (away) Open(context.Context, []byte, []byte) ([]byte, error) { return nil, errAway }

func TestNewKeyringRefuses(t *testing.T) {
	s := pepper.NewAES(pepper.NewSecret())
	for problem, keys := range map[string][]pepper.Key{
		"no pepper key is active": {{ID: "a", State: pepper.DecryptOnly, Sealer: s}},
		`"b" is a second active`:  {{ID: "a", State: pepper.Active, Sealer: s}, {ID: "b", State: pepper.Active, Sealer: s}},
		`"a" is listed twice`:     {{ID: "a", State: pepper.Active, Sealer: s}, {ID: "a", State: pepper.Retired}},
		`"a" has no state`:        {{ID: "a", Sealer: s}},
		`"a" has no key`:          {{ID: "a", State: pepper.Active}},
		"pepper key 1: the id":    {{ID: "a$b", State: pepper.Active, Sealer: s}},
		"key 2: the id":           {{ID: "a", State: pepper.Active, Sealer: s}, {ID: "", State: pepper.Retired}},
		"key 1: the id is not 1":  {{ID: strings.Repeat("x", 17), State: pepper.Active, Sealer: s}},
	} {
		if _, err := pepper.NewKeyring(keys); err == nil || !strings.Contains(err.Error(), problem) {
			t.Errorf("NewKeyring = %v, want %q", err, problem)
		}
	}
}

func TestKeyCommands(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no shell to make programs of")
	}
	path := filepath.Join(t.TempDir(), "pepper")
	made, err := pepper.CreateFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	digits := strings.TrimSpace(string(text))
	for name, c := range map[string]struct {
		argv []string
		ok   bool
	}{
		"prints the key":          {[]string{"cat", path}, true},
		"prints without line end": {[]string{"printf", digits}, true},
		"no shell":                {[]string{"cat", path + "; echo"}, false},
		"fails after printing":    {[]string{"sh", "-c", "cat " + path + "; exit 1"}, false},
		"prints more":             {[]string{"cat", path, path}, false},
		"prints without end":      {[]string{"sh", "-c", "cat " + path + "; head -c 10000000 /dev/zero"}, false},
		"prints nothing":          {[]string{"true"}, false},
		"prints to the wrong end": {[]string{"sh", "-c", "cat " + path + " >&2"}, false},
		"is not there":            {[]string{path + ".missing"}, false},
		"leaves something behind": {[]string{"sh", "-c", "sleep 3 & cat " + path}, false},
	} {
		got, err := pepper.RunCommand(t.Context(), c.argv)
		if (err == nil) != c.ok || (c.ok && got != made) {
			t.Errorf("%s: RunCommand = %v, %v, want success: %v and the key", name, got, err, c.ok)
		}
		if err != nil && strings.Contains(err.Error(), digits[:8]) {
			t.Errorf("%s: the error repeats the key: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := pepper.RunCommand(ctx, []string{"sleep", "60"}); !errors.Is(err, context.Canceled) {
		t.Errorf("a program that hangs: %v, want the context's error", err)
	}
}

func TestKeyFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "pepper")
	made, err := pepper.CreateFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode = %v, %v, want 0600", info.Mode(), err)
	}
	if _, err := pepper.CreateFile(path); !errors.Is(err, os.ErrExist) {
		t.Errorf("a second CreateFile = %v: it must not overwrite a key", err)
	}
	read, err := pepper.ReadFile(path)
	if err != nil || read != made {
		t.Errorf("ReadFile gave another secret, or %v", err)
	}
	text, _ := os.ReadFile(path)
	digits := strings.TrimSpace(string(text))
	out, _ := json.Marshal(read)
	for _, printed := range []string{fmt.Sprintf("%v %+v %#v %x %s %d", read, &read, []any{read}, read, struct{ s pepper.Secret }{read}, read), string(out)} {
		if strings.Contains(printed, digits[:8]) || !strings.Contains(printed, "[pepper]") {
			t.Errorf("a secret prints as %q", printed)
		}
	}

	for name, c := range map[string]struct {
		text string
		mode os.FileMode
		ok   bool
	}{
		"digits alone":     {digits, 0o600, true},
		"line end":         {digits + "\r\n", 0o400, true},
		"readable":         {digits, 0o640, false},
		"world readable":   {digits, 0o604, false},
		"group writable":   {digits, 0o620, false},
		"too short":        {digits[2:], 0o600, false},
		"too long":         {digits + "00", 0o600, false},
		"two lines":        {digits + "\n\n", 0o600, false},
		"empty":            {"", 0o600, false},
		"upper case":       {strings.ToUpper("ab" + digits[2:]), 0o600, false},
		"not hexadecimal":  {"zz" + digits[2:], 0o600, false},
		"zeros":            {strings.Repeat("0", 64), 0o600, false},
		"repeated pattern": {strings.Repeat("0123456789abcdef", 4), 0o600, false},
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, c.mode); err != nil {
			t.Fatal(err)
		}
		_, err := pepper.ReadFile(path)
		if (err == nil) != c.ok {
			t.Errorf("%s: ReadFile = %v, want ok %v", name, err, c.ok)
		}
		if err != nil && len(c.text) > 8 && strings.Contains(err.Error(), c.text[:8]) {
			t.Errorf("%s: the error repeats the key", name)
		}
	}
	if _, err := pepper.ReadFile(dir); err == nil {
		t.Error("a directory was read")
	}
	if _, err := pepper.ReadFile(filepath.Join(dir, "absent")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an absent file: %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	k := ring(f, pepper.Key{ID: "k1", State: pepper.Active, Sealer: pepper.NewAES(pepper.NewSecret())})
	other := ring(f, pepper.Key{ID: "k1", State: pepper.Active, Sealer: pepper.NewAES(pepper.NewSecret())})
	for _, hash := range hashes {
		s, err := other.Seal(f.Context(), hash, bob)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(s)
		f.Add(hash)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if hash, _, err := k.Open(t.Context(), s, bob); err == nil {
			t.Fatalf("Open(%q) = %q: it was never sealed under this key", s, hash)
		}
		sealed, err := k.Seal(t.Context(), s, bob)
		if err != nil {
			return
		}
		if got, _, err := k.Open(t.Context(), sealed, bob); err != nil || got != s {
			t.Fatalf("Open(Seal(%q)) = %q, %v", s, got, err)
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	k := ring(b, pepper.Key{ID: "k1", State: pepper.Active, Sealer: pepper.NewAES(pepper.NewSecret())})
	sealed, err := k.Seal(b.Context(), phc, bob)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := k.Open(b.Context(), sealed, bob); err != nil {
			b.Fatal(err)
		}
	}
}
