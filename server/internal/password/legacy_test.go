// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package password_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/watchword-project/watchword/server/internal/password"
)

// legacy is a Hasher at test cost that has the Firebase keys of
// firebase/scrypt's README.
func legacy(t testing.TB) *password.Hasher {
	t.Helper()
	unbase := func(s string) []byte {
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	h, err := password.NewHasher(password.Config{
		Params:       password.Params{Memory: 64, Time: 1, Parallelism: 1},
		MemoryBudget: 64 << 20,
		Insecure:     true,
		Firebase: &password.FirebaseKeys{
			SignerKey:     unbase("jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA=="),
			SaltSeparator: unbase("Bw=="),
		},
	})
	if err != nil {
		t.Fatalf("NewHasher: %v", err)
	}
	t.Cleanup(h.Close)
	return h
}

// negatives are passwords close to s, none of which is s.
func negatives(s string) map[string]password.Text {
	flipped := strings.ToUpper(s)
	if flipped == s {
		flipped = "x" + s[1:]
	}
	return map[string]password.Text{
		"wrong":     password.RawText([]byte("entirely different")),
		"prefix":    password.RawText([]byte(s[:len(s)-1])),
		"suffix":    password.RawText([]byte(s[1:])),
		"one more":  password.RawText([]byte(s + "x")),
		"a space":   password.RawText([]byte(s + " ")),
		"twice":     password.RawText([]byte(s + s)),
		"empty":     password.RawText([]byte{}),
		"case flip": password.RawText([]byte(flipped)),
		"last bit":  password.RawText(append([]byte(s[:len(s)-1]), s[len(s)-1]^1)),
	}
}

// judge gives the cases that a verifier answers wrongly for a hash of plain.
func judge(plain, encoded string, verify func(password.Text, string) (bool, error)) (wrong []string) {
	if ok, err := verify(password.RawText([]byte(plain)), encoded); err != nil || !ok {
		wrong = append(wrong, "right")
	}
	for name, p := range negatives(plain) {
		if ok, err := verify(p, encoded); err != nil || ok {
			wrong = append(wrong, name)
		}
	}
	return wrong
}

func TestVectors(t *testing.T) {
	h := legacy(t)
	verify := func(p password.Text, encoded string) (bool, error) {
		before := h.Stats().Runs
		r, err := h.Verify(t.Context(), password.Interactive, p, encoded)
		if n := h.Stats().Runs - before; n != 1 {
			t.Errorf("%d KDF runs for %q, want 1", n, encoded)
		}
		return r.Match, err
	}
	for _, v := range vectors {
		if wrong := judge(v.password, v.encoded, verify); wrong != nil {
			t.Errorf("%s: %q is answered wrongly for %q", v.by, v.encoded, wrong)
		}
		// A NUL would be lost in the schemes over HMAC, whose key it pads: it
		// never gets as far.
		if _, err := password.New(v.password + "\x00"); !errors.Is(err, password.ErrControl) {
			t.Errorf("New with a NUL tail = %v", err)
		}
	}
}

// The faults that the negatives are for, each of which has shipped somewhere.
func TestNegativesSeeFaultyVerifiers(t *testing.T) {
	const plain = "correct horse"
	for name, verify := range map[string]func(p []byte) bool{
		"inverted comparison":  func(p []byte) bool { return string(p) != plain },
		"everything matches":   func([]byte) bool { return true },
		"compares a prefix":    func(p []byte) bool { return strings.HasPrefix(string(p), plain) },
		"compares the shorter": func(p []byte) bool { return strings.HasPrefix(plain, string(p)) },
		"folds case":           func(p []byte) bool { return strings.EqualFold(string(p), plain) },
		"trims":                func(p []byte) bool { return strings.TrimSpace(string(p)) == plain },
		"cuts at 12 bytes":     func(p []byte) bool { return len(p) >= 12 && string(p[:12]) == plain[:12] },
		"empty tag":            func(p []byte) bool { return len(p) == 0 || string(p) == plain },
	} {
		wrong := judge(plain, "", func(p password.Text, _ string) (bool, error) { return verify(p.Reveal()), nil })
		if wrong == nil {
			t.Errorf("%s: not seen", name)
		}
	}
}

func TestVectorsAreSpeltCanonically(t *testing.T) {
	other := map[string]bool{} // forms with two spellings, of which one is printed
	for _, p := range []string{"bcrypt$", "argon2$", "$NT$"} {
		other[p] = true
	}
	h := legacy(t)
	for _, v := range vectors {
		got, err := password.Print(v.encoded)
		if err != nil {
			t.Errorf("%s: %v", v.by, err)
			continue
		}
		alias := false
		for p := range other {
			alias = alias || strings.HasPrefix(v.encoded, p)
		}
		if (got == v.encoded) == alias {
			t.Errorf("%s: %q is printed as %q", v.by, v.encoded, got)
		}
		for name, mangled := range map[string]string{
			"NUL tail":   v.encoded + "\x00",
			"space tail": v.encoded + " ",
			"line feed":  v.encoded + "\n",
			"dollar":     v.encoded + "$",
			"cut":        v.encoded[:len(v.encoded)-1],
			"one more":   v.encoded + "=",
			"bad digit":  v.encoded[:len(v.encoded)-3] + "!" + v.encoded[len(v.encoded)-2:],
			"no tag":     v.encoded[:strings.LastIndexAny(v.encoded, "$}")+1],
		} {
			if _, err := password.Parse(mangled); !errors.Is(err, password.ErrBadHash) {
				t.Errorf("%s: %s: Parse(%q) = %v, want ErrBadHash", v.by, name, mangled, err)
			}
		}
		if i, err := password.Parse(v.encoded); err != nil || i.Tag == 0 || i.Cost() == "" {
			t.Errorf("%s: Parse = %+v, %v", v.by, i, err)
		}
		if err := h.Check(v.encoded); err != nil {
			t.Errorf("%s: Check = %v", v.by, err)
		}
		if want := !strings.HasPrefix(v.encoded, "$argon2id$v=19$"); h.Stale(v.encoded) != want && !strings.HasPrefix(v.encoded, "argon2$") {
			t.Errorf("%s: Stale(%q) = %v, want %v", v.by, v.encoded, !want, want)
		}
	}
}

// bcrypt looks at 72 bytes. x/crypto's, like libxcrypt's, takes a longer
// password for the hash of its beginning.
func TestBcryptTakesNothingOver72Bytes(t *testing.T) {
	h := legacy(t)
	// libxcrypt 4.4.33, of 72 and of 73 bytes alike.
	const encoded = "$2b$04$CCCCCCCCCCCCCCCCCCCCC.ug0A3dTXhy5U.dFjx/qguZ8I4CB77BC"
	for n, want := range map[int]bool{71: false, 72: true, 73: false, 74: false, 144: false, 4096: false} {
		before := h.Stats().Runs
		r, err := h.Verify(t.Context(), password.Interactive, text(t, strings.Repeat("x", n)), encoded)
		if err != nil || r.Match != want {
			t.Errorf("%d bytes: Verify = %+v, %v, want match %v", n, r, err, want)
		}
		if runs := h.Stats().Runs - before; runs != 1 {
			t.Errorf("%d bytes: %d KDF runs, want 1: a refusal costs what a wrong password costs", n, runs)
		}
	}
}

func TestCryptTakesWhatLibxcryptTakes(t *testing.T) {
	h := legacy(t)
	// libxcrypt 4.4.33, of 511 bytes; it refuses 512.
	const encoded = "$5$rounds=1000$saltsalt$UO1D7uRhCj1iQQUQBCtfHH3.XLg17lM3s80LpvY26N9"
	for n, want := range map[int]bool{510: false, 511: true, 512: false, 4096: false} {
		r, err := h.Verify(t.Context(), password.Interactive, text(t, strings.Repeat("x", n)), encoded)
		if err != nil || r.Match != want {
			t.Errorf("%d bytes: Verify = %+v, %v, want match %v", n, r, err, want)
		}
	}
}

func TestWrap(t *testing.T) {
	h := legacy(t)
	wrapped := 0
	for _, v := range vectors {
		got, err := h.Wrap(t.Context(), password.Batch, v.encoded)
		if err != nil {
			t.Errorf("%s: Wrap = %v", v.by, err)
			continue
		}
		was, _ := password.Parse(v.encoded)
		if !was.Weak() {
			if got != v.encoded {
				t.Errorf("%s: Wrap changed %q, which is not weak", v.by, v.encoded)
			}
			continue
		}
		wrapped++
		is, err := password.Parse(got)
		if err != nil || is.Scheme != password.WrappedArgon2id || is.Wraps != was.Scheme || is.Weak() {
			t.Errorf("%s: Parse(Wrap) = %+v, %v", v.by, is, err)
		}
		tag := v.encoded[strings.LastIndexAny(v.encoded, "$}")+1:]
		if frame, _ := base64.RawURLEncoding.DecodeString(strings.Split(got, "$")[4]); strings.Contains(string(frame), tag[:20]) {
			t.Errorf("%s: the wrapped hash still holds the weak one", v.by)
		}
		if again, err := password.Print(got); err != nil || again != got {
			t.Errorf("%s: Print = %q, %v, want %q", v.by, again, err, got)
		}
		if !h.Stale(got) {
			t.Errorf("%s: a wrapped hash is not stale", v.by)
		}
		before := h.Stats().Runs
		r, err := h.Verify(t.Context(), password.Interactive, text(t, v.password), got)
		if err != nil || !r.Match || !r.Stale || h.Stats().Runs-before != 1 {
			t.Errorf("%s: Verify(Wrap) = %+v, %v in %d runs", v.by, r, err, h.Stats().Runs-before)
		}
		for name, p := range negatives(v.password) {
			if r, err := h.Verify(t.Context(), password.Interactive, p, got); err != nil || r.Match {
				t.Errorf("%s: %s: Verify(Wrap) = %+v, %v, want no match", v.by, name, r, err)
			}
		}
		if twice, err := h.Wrap(t.Context(), password.Batch, got); err != nil || twice != got {
			t.Errorf("%s: wrapping twice = %q, %v", v.by, twice, err)
		}
	}
	if wrapped < 20 {
		t.Errorf("only %d vectors were wrapped", wrapped)
	}
	for name, s := range map[string]string{
		"malformed": "{SSHA}AAAA",
		"costly":    "$P$S" + "saltsalt" + "m5kzegSSYLpteeiemmHd3/",
	} {
		if _, err := h.Wrap(t.Context(), password.Batch, s); err == nil {
			t.Errorf("%s: Wrap took it", name)
		}
	}
}

func TestMalformedAndCostlyLegacyHashes(t *testing.T) {
	h := cheap(t)
	frame := func(s string) string {
		return "$argon2id-wrap$v=19$m=64,t=1,p=1$" + base64.RawURLEncoding.EncodeToString([]byte(s)) + "$" + salt16 + "$" + tag32
	}
	if err := h.Check(frame("{MD5}AAAAAAAAAAAAAAAAAAAAAA==")); err != nil {
		t.Fatalf("the frame that the rows below vary: %v", err)
	}
	const bc = "CCCCCCCCCCCCCCCCCCCCC.ug0A3dTXhy5U.dFjx/qguZ8I4CB77BC"
	type row struct {
		encoded string
		costly  bool
	}
	for name, r := range map[string]row{
		"bcrypt cost 3":            {"$2b$03$" + bc, false},
		"bcrypt cost 32":           {"$2b$32$" + bc, false},
		"bcrypt cost 99":           {"$2b$99$" + bc, false},
		"bcrypt cost 4":            {"$2b$4$" + bc, false},
		"bcrypt cost +4":           {"$2b$+4$" + bc, false},
		"bcrypt cost 00":           {"$2b$00$" + bc, false},
		"bcrypt 2x":                {"$2x$04$" + bc, false},
		"bcrypt 2":                 {"$2$04$" + bc, false},
		"bcrypt 2c":                {"$2c$04$" + bc, false},
		"bcrypt salt trailing bit": {"$2b$04$CCCCCCCCCCCCCCCCCCCCCCug0A3dTXhy5U.dFjx/qguZ8I4CB77BC", false},
		"bcrypt tag trailing bit":  {"$2b$04$CCCCCCCCCCCCCCCCCCCCC.ug0A3dTXhy5U.dFjx/qguZ8I4CB77BD", false},
		"bcrypt cost 16":           {"$2b$16$" + bc, true},
		"bcrypt cost 31":           {"$2b$31$" + bc, true},
		"bcrypt cost 31, Django":   {"bcrypt_sha256$$2b$31$" + bc, true},

		"scrypt ln 0":              {"$scrypt$ln=0,r=8,p=1$" + salt16 + "$" + tag32, false},
		"scrypt ln 64":             {"$scrypt$ln=64,r=8,p=1$" + salt16 + "$" + tag32, false},
		"scrypt ln 256":            {"$scrypt$ln=256,r=8,p=1$" + salt16 + "$" + tag32, false},
		"scrypt r 0":               {"$scrypt$ln=4,r=0,p=1$" + salt16 + "$" + tag32, false},
		"scrypt r·p 2^30":          {"$scrypt$ln=4,r=32768,p=32768$" + salt16 + "$" + tag32, false},
		"scrypt N not a power":     {"scrypt:15:8:1$salt$" + strings.Repeat("0", 128), false},
		"scrypt N 0":               {"scrypt:0:8:1$salt$" + strings.Repeat("0", 128), false},
		"scrypt N 1":               {"scrypt:1:8:1$salt$" + strings.Repeat("0", 128), false},
		"scrypt upper-case tag":    {"scrypt:16:8:1$salt$" + strings.Repeat("A", 128), false},
		"scrypt empty salt":        {"scrypt:16:8:1$$" + strings.Repeat("0", 128), false},
		"scrypt $7$ cut":           {"$7$26..../...$" + tag32, false},
		"scrypt ln 19, 512 MiB":    {"$scrypt$ln=19,r=8,p=1$" + salt16 + "$" + tag32, true},
		"scrypt ln 40":             {"$scrypt$ln=40,r=8,p=1$" + salt16 + "$" + tag32, true},
		"scrypt r 2^29":            {"$scrypt$ln=1,r=536870912,p=1$" + salt16 + "$" + tag32, true},
		"scrypt p 17":              {"$scrypt$ln=4,r=8,p=17$" + salt16 + "$" + tag32, true},
		"scrypt p 2^26":            {"$scrypt$ln=4,r=8,p=67108864$" + salt16 + "$" + tag32, true},
		"scrypt Django N 2^30":     {"scrypt$1073741824$salt$8$1$" + strings.Repeat("A", 86) + "==", true},
		"scrypt $7$ N 2^40":        {"$7$c6..../....salt$y22DE6RQlXkA1N0Jv9FJt5VhGNJtcfzO6Rv7u7nUzL6", true},
		"Firebase without keys":    {"$firescrypt$ln=14,r=8,p=1$42xEC+ixf3L2lw$" + strings.Repeat("A", 86), false},
		"yescrypt other flags":     {"$y$k9T$salt$GyCLjECLgoFAM.lRyxZfKlexPqPobJPpd5gvvtnvfb1", false},
		"yescrypt N of two digits": {"$y$j..T$salt$GyCLjECLgoFAM.lRyxZfKlexPqPobJPpd5gvvtnvfb1", false},
		"yescrypt N 2^9":           {"$y$j65$salt$GyCLjECLgoFAM.lRyxZfKlexPqPobJPpd5gvvtnvfb1", false},
		"yescrypt N 2^24, 2 GiB":   {"$y$jLT$salt$GyCLjECLgoFAM.lRyxZfKlexPqPobJPpd5gvvtnvfb1", true},

		"PBKDF2 0 rounds":           {"$pbkdf2-sha256$i=0,l=32$" + salt16 + "$" + tag32, false},
		"PBKDF2 2^32 rounds":        {"$pbkdf2-sha256$i=4294967296,l=32$" + salt16 + "$" + tag32, false},
		"PBKDF2 leading zero":       {"$pbkdf2-sha256$i=01000,l=32$" + salt16 + "$" + tag32, false},
		"PBKDF2 wrong length":       {"$pbkdf2-sha256$i=1000,l=31$" + salt16 + "$" + tag32, false},
		"PBKDF2 no length":          {"$pbkdf2-sha256$i=1000$" + salt16 + "$" + tag32, false},
		"PBKDF2 over MD5":           {"$pbkdf2-md5$i=1000,l=32$" + salt16 + "$" + tag32, false},
		"PBKDF2 passlib plus sign":  {"$pbkdf2-sha256$1000$" + salt16 + "$+" + tag32[1:], false},
		"PBKDF2 Django short tag":   {"pbkdf2_sha256$1000$salt$AAAAAAAAAAAAAAAAAAAAAA==", false},
		"PBKDF2 Django no padding":  {"pbkdf2_sha256$1000$salt$" + tag32, false},
		"PBKDF2 Werkzeug default":   {"pbkdf2:sha256$salt$" + strings.Repeat("0", 64), false},
		"PBKDF2 5,000,001 rounds":   {"$pbkdf2-sha256$i=5000001,l=32$" + salt16 + "$" + tag32, true},
		"PBKDF2 2^32-1 rounds":      {"pbkdf2_sha256$4294967295$salt$" + tag32 + "=", true},
		"PBKDF2 rounds × blocks":    {"$pbkdf2-sha1$i=5000000,l=32$" + salt16 + "$" + tag32, true},
		"ASP.NET v3 2^32-1 rounds":  {"AQAAAAH/////AAAAEAABAgMEBQYHCAkKCwwNDg+yWU7rLgUwPZb1Itsmra7cbxw2EFpwpVFIEtP+JIuUEw==", true},
		"ASP.NET v3 salt of 2^32-1": {"AQAAAAEAACcQ/////wABAgMEBQYHCAkKCwwNDg+yWU7rLgUwPZb1Itsmra7cbxw2EFpwpVFIEtP+JIuUEw==", false},
		"ASP.NET v3 PRF 3":          {"AQAAAAMAACcQAAAAEAABAgMEBQYHCAkKCwwNDg+yWU7rLgUwPZb1Itsmra7cbxw2EFpwpVFIEtP+JIuUEw==", false},
		"ASP.NET v3 0 rounds":       {"AQAAAAEAAAAAAAAAEAABAgMEBQYHCAkKCwwNDg+yWU7rLgUwPZb1Itsmra7cbxw2EFpwpVFIEtP+JIuUEw==", false},
		"ASP.NET v3 cut":            {"AQAAAAIAAAAyAAAAEOMwvh3+FZxqkdMBz2ekgGhwQ4A=", false},
		"ASP.NET v3 header alone":   {"AQAAAAIAAAAyAAAAEA==", false},

		"SHA-crypt 999 rounds":     {"$5$rounds=999$salt$" + tag32, false},
		"SHA-crypt 0 rounds":       {"$5$rounds=0$salt$" + tag32, false},
		"SHA-crypt leading zero":   {"$5$rounds=01000$salt$6tgnqVbdMI4.1tBobkxcejK8Alkw2NVqaYb3M.7uwr5", false},
		"SHA-crypt 10^9 rounds":    {"$5$rounds=1000000000$salt$6tgnqVbdMI4.1tBobkxcejK8Alkw2NVqaYb3M.7uwr5", false},
		"SHA-crypt salt of 17":     {"$5$saltsaltsaltsalts$6tgnqVbdMI4.1tBobkxcejK8Alkw2NVqaYb3M.7uwr5", false},
		"SHA-crypt empty salt":     {"$5$$6tgnqVbdMI4.1tBobkxcejK8Alkw2NVqaYb3M.7uwr5", false},
		"SHA-crypt trailing bits":  {"$5$salt$6tgnqVbdMI4.1tBobkxcejK8Alkw2NVqaYb3M.7uwrz", false},
		"SHA-crypt 5,000,001":      {"$5$rounds=5000001$salt$6tgnqVbdMI4.1tBobkxcejK8Alkw2NVqaYb3M.7uwr5", true},
		"SHA-crypt 999,999,999":    {"$6$rounds=999999999$salt$.r0X7ub5wGR2v4Xz7svCIozfnlorFh19V89t8KC9Umd81uGhFgsyTRNyzQDXDIm17fFcR9z3z7oBNdsyYBbtm/", true},
		"md5crypt salt of 9":       {"$1$saltsalts$NuzA7WTAelpl95xgBGWN60", false},
		"phpass 2^6":               {"$P$4saltsaltm5kzegSSYLpteeiemmHd3/", false},
		"phpass 2^31":              {"$P$TsaltsaltmS5kzegSSYLpteeiemmHd3", false},
		"phpass 2^30":              {"$P$Ssaltsaltm5kzegSSYLpteeiemmHd3/", true},
		"phpass 2^23":              {"$P$LsaltsaltmS5kzegSSYLpteeiemmHd/", true},
		"Drupal 2^30":              {"$S$SeIZ1KTE.VzRvudZ5.xgOakipuMFrVyPmRdWTjAdYieWj27NMglI", true},
		"Drupal cut":               {"$S$DeIZ1KTE.VzRvudZ5.xgOakipuMFrVyPmRdWTjAdYieWj27NMgl", false},
		"NTLM upper case":          {"$3$$CFC43211BA8DC470832267827CAC1407", false},
		"NTLM bare":                {"cfc43211ba8dc470832267827cac1407", false},
		"LDAP lower case":          {"{ssha}zzfXz6I6jnz8D1zOmwDXU8UieuQA/3NhbHR5IQ==", false},
		"LDAP salted without salt": {"{SSHA}L55TUjtiq8FBorTWAZ0jy6g129A=", false},
		"LDAP plain with salt":     {"{SHA}zzfXz6I6jnz8D1zOmwDXU8UieuQA/3NhbHR5IQ==", false},
		"LDAP clear text":          {"{CLEARTEXT}secret", false},
		"digest unknown hash":      {"$ww-digest$h=md2,f=plain$$PLTnMmMfR+brlh80VUt83g", false},
		"digest unknown form":      {"$ww-digest$h=md5,f=twice$$PLTnMmMfR+brlh80VUt83g", false},
		"digest plain with salt":   {"$ww-digest$h=md5,f=plain$AAAA$PLTnMmMfR+brlh80VUt83g", false},
		"digest without salt":      {"$ww-digest$h=md5,f=hmac$$PLTnMmMfR+brlh80VUt83g", false},

		"wrap of argon2":       {frame("$argon2id$v=19$m=64,t=1,p=1$" + salt16 + "$" + tag32), false},
		"wrap of bcrypt":       {frame("$2b$04$" + bc), false},
		"wrap of a wrap":       {frame(frame("{MD5}AAAAAAAAAAAAAAAAAAAAAA==")), false},
		"wrap that keeps":      {frame("{MD5}PLTnMmMfR+brlh80VUt83g=="), false},
		"wrap of nothing":      {frame(""), false},
		"wrap of a line feed":  {frame("{MD5}AAAAAAAAAAA\nAAAAAAAAAAA=="), false},
		"wrap of PBKDF2":       {frame("$pbkdf2-sha256$1000$" + salt16 + "$" + tag32), false},
		"wrap of phpass 2^30":  {frame("$P$Ssaltsalt......................"), true},
		"wrap of 4 GiB":        {"$argon2id-wrap$v=19$m=4194304,t=1,p=1$" + base64.RawURLEncoding.EncodeToString([]byte("{MD5}AAAAAAAAAAAAAAAAAAAAAA==")) + "$" + salt16 + "$" + tag32, true},
		"wrap without version": {"$argon2id-wrap$m=64,t=1,p=1$" + salt16 + "$" + tag32, false},

		"DES crypt":     {"rEK1ecacw.7.c", false},
		"sun md5":       {"$md5,rounds=904$Ljk7Gt$", false},
		"MySQL":         {"*BE1BDEC0AA74B4DCB079943E70528096CCA985F8", false},
		"bare base64":   {"AAAA", false},
		"locked shadow": {"!", false},
	} {
		err := h.Check(r.encoded)
		var costly *password.CostError
		if r.costly != errors.As(err, &costly) || r.costly == errors.Is(err, password.ErrBadHash) {
			t.Errorf("%s: Check(%q) = %v, want costly %v", name, r.encoded, err, r.costly)
		}
		if err != nil && len(r.encoded) > 8 && strings.Contains(err.Error(), r.encoded[len(r.encoded)-8:]) {
			t.Errorf("%s: the error repeats the hash", name)
		}
	}
}
