// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package servertest_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/watchword-project/watchword/server/internal/storetest/procs"
	"github.com/watchword-project/watchword/server/servertest"
)

const doorSecret = "put-a-long-random-secret-here"

// secretFile writes a secret as the configuration wants it.
func secretFile(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// readmeExample gives the example of the README under the given mark.
func readmeExample(t testing.TB, mark string) string {
	t.Helper()
	b, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(b), "<!-- "+mark+" -->\n```")
	_, after, _ = strings.Cut(after, "\n")
	text, _, closed := strings.Cut(after, "```")
	if !found || !closed {
		t.Fatalf("the README has no example %s", mark)
	}
	return text
}

// place puts real addresses in an example, each of which must stand in it.
func place(t testing.TB, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("the example does not name %s", pairs[i])
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return text
}

// freePort gives a port that nobody listens on.
func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// run starts a program and ends it with the test. ready tells when it answers.
func run(t testing.TB, ready func() bool, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(name, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	ended, err := procs.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
	})
	for deadline := time.Now().Add(15 * time.Second); !ready(); time.Sleep(20 * time.Millisecond) {
		select {
		case <-ended:
			t.Fatalf("%s ended:\n%s", name, out.String())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not answer", name)
		}
	}
	return cmd
}

func listening(port int) func() bool {
	return func() bool {
		c, err := net.DialTimeout("tcp", "127.0.0.1:"+strconv.Itoa(port), 100*time.Millisecond)
		if err == nil {
			c.Close()
		}
		return err == nil
	}
}

// worldDir is a directory that other users may enter, with a short name.
func worldDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ww")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func writeText(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// policyServer starts a server with the auth-policy door.
func policyServer(t *testing.T, more string) *servertest.Server {
	t.Helper()
	return servertest.Start(t, servertest.Options{Config: "listen: {auth_policy: '127.0.0.1:0', auth_policy_secret_file: '" +
		secretFile(t, "Bearer "+doorSecret) + "'}\n" + more})
}

// authPolicy sends a command to the auth-policy door.
func authPolicy(t testing.TB, s *servertest.Server, command, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, s.AuthPolicyURL+"/?command="+command, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+doorSecret)
	code, _, text := s.Do(req)
	return code, strings.TrimSpace(text)
}

// TestDovecotLogsIn runs Dovecot with the README's settings and logs in by
// IMAP.
func TestDovecotLogsIn(t *testing.T) {
	dovecot := procs.Find(t, "dovecot")
	s := policyServer(t, "")
	dir, port := worldDir(t), freePort(t)
	uid, gid := os.Getuid(), os.Getgid()
	users := ""
	if uid == 0 {
		uid, gid = 65534, 65534
		users = "default_internal_user = dovecot\ndefault_login_user = dovenull\n"
	} else {
		users = fmt.Sprintf("default_internal_user = %d\ndefault_login_user = %d\ndefault_internal_group = %d\n", uid, uid, gid)
	}
	mail := filepath.Join(dir, "mail")
	if err := os.Mkdir(mail, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(mail, 0o777); err != nil {
		t.Fatal(err)
	}
	writeText(t, filepath.Join(dir, "users"), "alice:{PLAIN}right horse\nbob:{PLAIN}right horse\n")
	log := filepath.Join(dir, "log")
	writeText(t, filepath.Join(dir, "dovecot.conf"), users+fmt.Sprintf(`
base_dir = %[1]s/run
state_dir = %[1]s/state
log_path = %[2]s
auth_verbose = yes
protocols = imap
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_failure_delay = 0
first_valid_uid = 1
mail_location = maildir:%[1]s/mail/%%u
passdb {
  driver = passwd-file
  args = %[1]s/users
}
userdb {
  driver = static
  args = uid=%[3]d gid=%[4]d home=%[1]s/mail/%%u
}
service imap-login {
  inet_listener imap {
    port = %[5]d
  }
  inet_listener imaps {
    port = 0
  }
  chroot =
}
service anvil {
  chroot =
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
`, dir, log, uid, gid, port)+place(t, readmeExample(t, "dovecot.conf"), "http://127.0.0.1:4001/", s.AuthPolicyURL+"/"))
	run(t, listening(port), dovecot, "-F", "-c", filepath.Join(dir, "dovecot.conf"))

	login := func(user, password string) string {
		t.Helper()
		c, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		r := bufio.NewReader(c)
		if _, err := r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "a LOGIN %q %q\r\n", user, password)
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				b, _ := os.ReadFile(log)
				t.Fatalf("no answer to the login: %v\n%s", err, b)
			}
			if answer, ok := strings.CutPrefix(line, "a "); ok {
				return answer
			}
		}
	}
	want := func(step, answer, begin string) {
		t.Helper()
		if !strings.HasPrefix(answer, begin) {
			b, _ := os.ReadFile(log)
			t.Fatalf("%s: %q, want %s\n%s\n%s", step, answer, begin, b, s.Log)
		}
	}
	for range 8 {
		want("the right password", login("alice", "right horse"), "OK ")
	}
	for range 8 {
		want("one wrong password, over and over", login("alice", "wrong"), "NO ")
	}
	lane := func() (failures uint32) {
		t.Helper()
		lanes, err := s.Client.Throttle(t.Context(), "alice")
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range lanes {
			if l.Name == "subject" && l.Channel == "PASSWORD" {
				failures = l.Failures
			}
		}
		return failures
	}
	awaitFailures := func(n uint32) {
		t.Helper()
		for deadline := time.Now().Add(5 * time.Second); lane() != n; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%d failures are counted, want %d\n%s", lane(), n, s.Log)
			}
		}
	}
	awaitFailures(1)
	for i := range 4 {
		want("a wrong password", login("alice", fmt.Sprint("wrong ", i)), "NO ")
	}
	awaitFailures(5)
	refused := login("alice", "right horse")
	want("the right password after five wrong ones", refused, "NO ")
	b, err := os.ReadFile(log)
	if err != nil || !strings.Contains(string(b), "policy server refusal: Too many failed logins. Try again in ") {
		t.Errorf("Dovecot's log does not tell why (%v):\n%s", err, b)
	}
	want("somebody else", login("bob", "right horse"), "OK ")
	if code, text := authPolicy(t, s, "reset", `{"login":"alice"}`); code != 200 || text != `{"status":"ok"}` {
		t.Fatalf("reset: %d %s", code, text)
	}
	want("the right password after a reset", login("alice", "right horse"), "OK ")
	awaitFailures(0)
	s.Stop()
	want("without the policy server", login("alice", "right horse"), "NO ")
}

// TestAuthPolicyForm walks the door with what Dovecot and weakforced's own
// clients send, and with what nobody should.
func TestAuthPolicyForm(t *testing.T) {
	s := policyServer(t, "")
	ask := func(command, body, want string) {
		t.Helper()
		if code, text := authPolicy(t, s, command, body); code != 200 || text != want {
			t.Errorf("%s %s = %d %s, want %s", command, body, code, text, want)
		}
	}
	const yes, ok = `{"status":0,"msg":"","r_attrs":{}}`, `{"status":"ok"}`
	guess := func(login string, n int, more string) string {
		return fmt.Sprintf(`{"login":%q,"remote":"192.0.2.7","pwhash":"%04x","session_id":"s","device_id":"","protocol":"imap","attrs":{"x":[1]}%s}`, login, n, more)
	}
	// The second question about a guess is free, however often it is asked.
	for range 20 {
		ask("allow", guess("alice", 1, ""), yes)
	}
	ask("report", guess("alice", 1, `,"success":true,"policy_reject":false`), ok)
	// What the policy refused or what broke is nobody's failure.
	for i := range 20 {
		ask("allow", guess("alice", i, ""), yes)
		ask("report", guess("alice", i, `,"success":false,"policy_reject":true`), ok)
		ask("allow", guess("alice", i, ""), yes)
		ask("report", guess("alice", i, `,"success":false,"fail_type":"internal"`), ok)
	}
	// Neither is what was refused before it was an attempt.
	for i := range 5 {
		ask("report", guess("carol", i, `,"success":false,"policy_reject":true`), ok)
	}
	for i := range 5 {
		ask("allow", guess("alice", 100+i, ""), yes)
		ask("report", guess("alice", 100+i, `,"success":false`), ok)
	}
	const no = `{"status":-1,"msg":"Too many failed logins. Try again in 30 seconds.","r_attrs":{}}`
	ask("allow", guess("alice", 200, ""), no)
	ask("allow", guess("ＡＬＩＣＥ", 200, ""), no)
	ask("allow", guess("carol", 200, ""), yes)
	ask("reset", `{"login":"Alice","ip":"192.0.2.7"}`, ok)
	ask("allow", guess("alice", 200, ""), yes)
	// Reports without an attempt count too, known name or not.
	for i := range 5 {
		ask("report", guess("nobody", i, `,"success":false`), ok)
	}
	ask("allow", guess("nobody", 200, ""), no)
	// Without a hash of the guess every question is an attempt.
	for range 5 {
		ask("allow", `{"login":"dave","remote":"not an address","session_id":"s"}`, yes)
	}
	if code, text := authPolicy(t, s, "allow", `{"login":"dave","session_id":"s"}`); code != 200 || !strings.Contains(text, `"status":-1`) {
		t.Errorf("the sixth question without a hash: %d %s", code, text)
	}
	ask("allow", `{"login":""}`, `{"status":-1,"msg":"This is not a login name.","r_attrs":{}}`)
	ask("allow", `{"login":"a\u0000b"}`, `{"status":-1,"msg":"This is not a login name.","r_attrs":{}}`)

	for _, x := range []struct {
		name, command, body string
		code                int
	}{
		{"no JSON", "allow", "login=alice", 400},
		{"nothing", "allow", "", 400},
		{"a list", "allow", "[]", 400},
		{"two objects", "allow", "{} {}", 400},
		{"a login that is a number", "allow", `{"login":1}`, 400},
		{"more than 64 KiB", "allow", `{"login":"alice","x":"` + strings.Repeat("x", 64<<10) + `"}`, 400},
		{"a reset of nothing", "reset", `{}`, 400},
		{"a reset of no address", "reset", `{"ip":"1.2.3"}`, 400},
		{"an unknown command", "addBLEntry", `{}`, 404},
		{"no command", "", `{}`, 404},
	} {
		if code, text := authPolicy(t, s, x.command, x.body); code != x.code || !strings.Contains(text, `"failure"`) || strings.Contains(text, "alice") {
			t.Errorf("%s: %d %s, want %d", x.name, code, text, x.code)
		}
	}
	for _, header := range []string{"", "Bearer", "Bearer wrong", doorSecret, "Basic d2ZvcmNlOndyb25n", "bearer " + doorSecret} {
		req, _ := http.NewRequest(http.MethodPost, s.AuthPolicyURL+"/?command=reset", strings.NewReader(`{"login":"alice"}`))
		if header != "" {
			req.Header.Set("Authorization", header)
		}
		if code, _, _ := s.Do(req); code != 401 {
			t.Errorf("Authorization %q: %d, want 401", header, code)
		}
	}
	req, _ := http.NewRequest(http.MethodGet, s.AuthPolicyURL+"/?command=ping", nil)
	req.SetBasicAuth("wforce", "Bearer "+doorSecret)
	if code, _, text := s.Do(req); code != 200 || strings.TrimSpace(text) != ok {
		t.Errorf("ping with HTTP Basic: %d %s", code, text)
	}
	if strings.Contains(s.Log.String(), "alice") || strings.Contains(s.Log.String(), doorSecret) {
		t.Error("the log names an account or the secret")
	}
}

// TestAuthPolicyRace asks a thousand times at once, each with another guess.
func TestAuthPolicyRace(t *testing.T) {
	s := policyServer(t, "")
	for _, withHash := range []bool{true, false} {
		var let atomic.Int64
		var wg sync.WaitGroup
		for i := range 1000 {
			body := fmt.Sprintf(`{"login":"alice %v","remote":"192.0.2.7","session_id":"s"}`, withHash)
			if withHash {
				body = fmt.Sprintf(`{"login":"alice %v","remote":"192.0.2.7","session_id":"s","pwhash":"%064x"}`, withHash, i)
			}
			wg.Go(func() {
				if _, text := authPolicy(t, s, "allow", body); strings.Contains(text, `"status":0`) {
					let.Add(1)
				}
			})
		}
		wg.Wait()
		if n := let.Load(); n < 1 || n > 5 {
			t.Errorf("with a hash %v: %d of 1000 let through, want 1 to 5", withHash, n)
		}
	}
}

// TestAdaptersAreClosed lists what stops a server that would open an adapter
// carelessly.
func TestAdaptersAreClosed(t *testing.T) {
	good, short := secretFile(t, doorSecret), secretFile(t, "short")
	open := secretFile(t, doorSecret)
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(t.TempDir(), "data")
	first, err := servertest.TryStart(t, servertest.Options{DataDir: data})
	if err != nil {
		t.Fatal(err)
	}
	first.Stop()
	for _, x := range []struct{ name, config, word string }{
		{"no secret", "{auth_policy: '127.0.0.1:0'}", "auth_policy_secret_file"},
		{"a short secret", "{auth_policy: '127.0.0.1:0', auth_policy_secret_file: '" + short + "'}", "shorter than 16"},
		{"a secret that others can read", "{auth_policy: '127.0.0.1:0', auth_policy_secret_file: '" + open + "'}", "0644"},
		{"a secret that is not there", "{forward_auth: '127.0.0.1:0', forward_auth_secret_file: '" + good + ".gone'}", "no such file"},
		{"auth policy for everybody", "{auth_policy: '0.0.0.0:0', auth_policy_secret_file: '" + good + "'}", "listen.auth_policy would be reachable"},
		{"forward auth for everybody", "{forward_auth: '[::]:0', forward_auth_secret_file: '" + good + "'}", "listen.forward_auth would be reachable"},
		{"forward auth for everybody without a secret", "{forward_auth: ':0'}", "forward_auth_secret_file"},
		{"a deny status of success", "{forward_auth_deny_status: 200}", "400 to 499"},
		{"another header", "{forwarded_header: X-Real-IP}", "forwarded_header"},
		{"no tenant", "{adapter_tenant: 'A B'}", "adapter_tenant"},
		{"proxies that are none", "{forward_auth: '127.0.0.1:0', trusted_proxies: [everybody]}", "trusted_proxies"},
	} {
		s, err := servertest.TryStart(t, servertest.Options{DataDir: data, Config: "listen: " + x.config})
		if err == nil {
			s.Stop()
			t.Errorf("%s: the server starts", x.name)
		} else if !strings.Contains(err.Error(), x.word) || strings.Contains(err.Error(), doorSecret) {
			t.Errorf("%s: %v, want a word about %q", x.name, err, x.word)
		}
	}
	if off := servertest.New(t); off.AuthPolicyURL != "" || off.ForwardAuthURL != "" {
		t.Error("an adapter is on by default")
	}
}

// forward asks the forward-auth door.
func forward(t testing.TB, s *servertest.Server, user, password string, headers ...string) (int, http.Header) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, s.ForwardAuthURL+"/forward-auth", nil)
	if err != nil {
		t.Fatal(err)
	}
	if user != "" {
		req.SetBasicAuth(user, password)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	code, h, _ := s.Do(req)
	return code, h
}

// TestForwardAuth walks the door itself.
func TestForwardAuth(t *testing.T) {
	s := servertest.Start(t, servertest.Options{Config: "listen: {forward_auth: '127.0.0.1:0', forward_auth_secret_file: '" + secretFile(t, doorSecret) + "'}"})
	set(t, s, "José", goodPassword)
	secret := []string{"X-Watchword-Secret", doorSecret}
	for _, wrong := range [][]string{nil, {"X-Watchword-Secret", "wrong"}} {
		if code, h := forward(t, s, "José", goodPassword, wrong...); code != 403 || h.Get("Remote-User") != "" {
			t.Errorf("secret %v: %d %v", wrong, code, h)
		}
	}
	code, h := forward(t, s, "JOSÉ ", goodPassword, secret...)
	if code != 200 || h.Get("Remote-User") != "josé" {
		t.Fatalf("a right login: %d %v", code, h)
	}
	cookies := (&http.Response{Header: h}).Cookies()
	if len(cookies) != 1 || !cookies[0].HttpOnly || !cookies[0].Secure || cookies[0].SameSite != http.SameSiteLaxMode ||
		cookies[0].Path != "/" || cookies[0].Domain != "" || !strings.HasPrefix(cookies[0].Name, "__Host-") {
		t.Fatalf("the device cookie: %+v", cookies)
	}
	if code, h := forward(t, s, "", "", secret...); code != 401 || !strings.HasPrefix(h.Get("WWW-Authenticate"), "Basic ") {
		t.Errorf("without a login: %d %v", code, h)
	}
	for i := range 5 {
		if code, h := forward(t, s, "josé", fmt.Sprint("wrong ", i), secret...); code != 401 || h.Get("Remote-User") != "" || h.Get("Set-Cookie") != "" {
			t.Errorf("a wrong password: %d %v", code, h)
		}
	}
	if code, h := forward(t, s, "josé", goodPassword, secret...); code != 429 || h.Get("Retry-After") == "" || h.Get("Remote-User") != "" {
		t.Errorf("after five wrong passwords: %d %v", code, h)
	}
	device := append([]string{"Cookie", cookies[0].Name + "=" + cookies[0].Value}, secret...)
	if code, h := forward(t, s, "josé", goodPassword, device...); code != 200 || h.Get("Set-Cookie") != "" {
		t.Errorf("from the known device: %d %v", code, h)
	}
	if err := s.Client.SetState(t.Context(), "josé", "MUST_CHANGE"); err != nil {
		t.Fatal(err)
	}
	if code, h := forward(t, s, "josé", goodPassword, device...); code != 403 || h.Get("Remote-User") != "" {
		t.Errorf("a password that must change: %d %v", code, h)
	}
	if err := s.Client.SetState(t.Context(), "josé", "DISABLED"); err != nil {
		t.Fatal(err)
	}
	if code, _ := forward(t, s, "josé", goodPassword, device...); code != 401 {
		t.Errorf("a disabled credential: %d", code)
	}
	for _, x := range []struct{ name, user, password string }{
		{"a name with a line break", "jos\u00e9\nRemote-User: root", goodPassword}, {"no name", "", "x"},
		{"a long password", "josé", strings.Repeat("x", 5000)}, {"a control character", "josé", "a\x00b"},
	} {
		req := append([]string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(x.user+":"+x.password))}, secret...)
		if code, h := forward(t, s, "", "", req...); code != 401 || h.Get("Remote-User") != "" {
			t.Errorf("%s: %d %v", x.name, code, h)
		}
	}
	two := append([]string{"Authorization", "Basic eDp5", "Authorization", "Basic eDp5"}, secret...)
	if code, _ := forward(t, s, "", "", two...); code != 401 {
		t.Errorf("two logins at once: %d", code)
	}
	if strings.Contains(s.Log.String(), goodPassword) || strings.Contains(s.Log.String(), "jos") {
		t.Error("the log holds a password or a name")
	}
}

// TestForgedForwardedHeaders sends headers that name ever new addresses, with
// and without a proxy that is believed.
func TestForgedForwardedHeaders(t *testing.T) {
	for _, x := range []struct {
		name, listen string
		header       func(i int) []string
		ip           string // on which the failures must be counted
	}{
		{"no proxy is believed", "", func(i int) []string { return []string{"X-Forwarded-For", fmt.Sprintf("198.51.100.%d", i)} }, "127.0.0.1"},
		{"the proxy appends", "trusted_proxies: [127.0.0.0/8]", func(i int) []string {
			return []string{"X-Forwarded-For", fmt.Sprintf("198.51.100.%d, 192.0.2.9", i)}
		}, "192.0.2.9"},
		{"the proxy adds a header", "trusted_proxies: [127.0.0.0/8]", func(i int) []string {
			return []string{"X-Forwarded-For", fmt.Sprintf("198.51.100.%d", i), "X-Forwarded-For", "192.0.2.9"}
		}, "192.0.2.9"},
		{"two proxies", "trusted_proxies: [127.0.0.0/8, 10.0.0.0/8]", func(i int) []string {
			return []string{"X-Forwarded-For", fmt.Sprintf("198.51.100.%d,::ffff:192.0.2.9, 10.1.2.3", i)}
		}, "192.0.2.9"},
		{"garbage before the proxy's own word", "trusted_proxies: [127.0.0.0/8, 10.0.0.0/8]", func(i int) []string {
			return []string{"X-Forwarded-For", fmt.Sprintf("198.51.100.%d, unknown, 10.1.2.3", i)}
		}, "10.1.2.3"},
		{"the other header", "trusted_proxies: [127.0.0.0/8]", func(i int) []string {
			return []string{"Forwarded", fmt.Sprintf("for=198.51.100.%d", i), "X-Real-IP", fmt.Sprintf("198.51.100.%d", i)}
		}, "127.0.0.1"},
		{"the standard header", "trusted_proxies: [127.0.0.0/8], forwarded_header: Forwarded", func(i int) []string {
			return []string{"Forwarded", fmt.Sprintf(`for=198.51.100.%d, for="[2001:db8::9]:4711";proto=https`, i), "X-Forwarded-For", fmt.Sprintf("198.51.100.%d", i)}
		}, "2001:db8::9"},
		{"two nodes in one element", "trusted_proxies: [127.0.0.0/8], forwarded_header: Forwarded", func(i int) []string {
			return []string{"Forwarded", fmt.Sprintf(`for=198.51.100.%d;for=192.0.2.9`, i)}
		}, "127.0.0.1"},
	} {
		t.Run(x.name, func(t *testing.T) {
			s := servertest.Start(t, servertest.Options{Config: measured + "listen: {forward_auth: '127.0.0.1:0', " + x.listen + "}\nthrottle: {prefix_burst: 8}"})
			denied := 0
			for i := range 20 {
				if code, _ := forward(t, s, fmt.Sprint("user ", i), "wrong", x.header(i)...); code == 429 {
					denied++
				}
			}
			lanes, err := s.Client.ThrottleAddress(t.Context(), x.ip)
			if err != nil || len(lanes) == 0 || lanes[0].Failures != 8 || lanes[0].Budget != 8 || lanes[0].Verdict != "DELAY" || denied != 12 {
				t.Errorf("%d of 20 refused, %+v, %v: want 12 refused and 8 failures held against %s", denied, lanes, err, x.ip)
			}
			told := seriesOf(scrape(t, s))
			if guesses, stopped := told[`watchword_defence_total{defence="guess",outcome="detected"}`], told[`watchword_defence_total{defence="throttle",outcome="mitigated"}`]; guesses != "8" || stopped != "12" {
				t.Errorf("the metrics tell of %s guesses and %s stopped attempts, want 8 and 12", guesses, stopped)
			}
		})
	}
}

// backend is a web page that tells who asks.
func backend(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello %q", r.Header.Values("Remote-User"))
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// throughProxy logs in through another web server in front of the door.
func throughProxy(t *testing.T, s *servertest.Server, url string, deny int) {
	t.Helper()
	get := func(user, password string, headers ...string) (int, http.Header, string) {
		t.Helper()
		req, err := http.NewRequest(http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if user != "" {
			req.SetBasicAuth(user, password)
		}
		// What a client would like the page to believe.
		req.Header.Set("Remote-User", "root")
		req.Header.Set("X-Device", "__Host-watchword-device=forged")
		for i := 0; i < len(headers); i += 2 {
			req.Header.Add(headers[i], headers[i+1])
		}
		return s.Do(req)
	}
	set(t, s, "alice", goodPassword)
	code, h, body := get("alice", goodPassword)
	cookies := (&http.Response{Header: h}).Cookies()
	if code != 200 || body != `hello ["alice"]` || len(cookies) != 1 {
		t.Fatalf("a right login: %d %s %v", code, body, h)
	}
	if code, h, body := get("", ""); code != 401 || h.Get("WWW-Authenticate") == "" || strings.Contains(body, "hello") {
		t.Errorf("without a login: %d %v %s", code, h, body)
	}
	for i := range 5 {
		if code, _, body := get("alice", fmt.Sprint("wrong ", i), "X-Forwarded-For", fmt.Sprintf("198.51.100.%d", i)); code != 401 || strings.Contains(body, "hello") {
			t.Errorf("a wrong password: %d %s", code, body)
		}
	}
	if code, h, body := get("alice", goodPassword); code != deny || strings.Contains(body, "hello") || deny == 429 && h.Get("Retry-After") == "" {
		t.Errorf("after five wrong passwords: %d %v %s, want %d", code, h, body, deny)
	}
	if code, h, body := get("alice", goodPassword, "Cookie", cookies[0].Name+"="+cookies[0].Value); code != 200 || body != `hello ["alice"]` || len(h.Values("Set-Cookie")) != 0 {
		t.Errorf("from the known device: %d %v %s", code, h, body)
	}
	lanes, err := s.Client.ThrottleAddress(t.Context(), "127.0.0.1")
	if err != nil || lanes[0].Failures != 5 {
		t.Errorf("failures are counted for %+v, %v, want 5 on the proxy's peer", lanes, err)
	}
	s.Stop()
	if code, _, body := get("alice", goodPassword); code < 500 || strings.Contains(body, "hello") {
		t.Errorf("without watchword: %d %s", code, body)
	}
}

func proxied(t *testing.T, listen string) *servertest.Server {
	t.Helper()
	return servertest.Start(t, servertest.Options{Config: "listen: {forward_auth: '127.0.0.1:0', forward_auth_secret_file: '" +
		secretFile(t, doorSecret) + "'" + listen + "}"})
}

// TestNginx runs nginx with the README's settings.
func TestNginx(t *testing.T) {
	nginx := procs.Find(t, "nginx")
	s := proxied(t, ", forward_auth_deny_status: 403")
	dir, port := worldDir(t), freePort(t)
	conf := filepath.Join(dir, "nginx.conf")
	writeText(t, conf, fmt.Sprintf(`
daemon off;
pid %[1]s/pid;
error_log %[1]s/error.log;
events {}
http {
    access_log off;
    client_body_temp_path %[1]s/body;
    proxy_temp_path %[1]s/proxy;
    fastcgi_temp_path %[1]s/fastcgi;
    uwsgi_temp_path %[1]s/uwsgi;
    scgi_temp_path %[1]s/scgi;
    server {
        listen 127.0.0.1:%[2]d;
        %[3]s
    }
}
`, dir, port, place(t, readmeExample(t, "nginx.conf"), "127.0.0.1:4002", strings.TrimPrefix(s.ForwardAuthURL, "http://"), "127.0.0.1:8080", backend(t))))
	run(t, listening(port), nginx, "-e", filepath.Join(dir, "error.log"), "-p", dir, "-c", conf)
	throughProxy(t, s, fmt.Sprintf("http://127.0.0.1:%d/", port), 403)
}

// TestCaddy runs Caddy with the README's settings.
func TestCaddy(t *testing.T) {
	caddy := procs.Find(t, "caddy")
	s := proxied(t, "")
	dir, port := t.TempDir(), freePort(t)
	t.Setenv("HOME", dir)
	t.Setenv("XDG_DATA_HOME", dir)
	t.Setenv("XDG_CONFIG_HOME", dir)
	conf := filepath.Join(dir, "Caddyfile")
	writeText(t, conf, fmt.Sprintf("{\n\tadmin off\n\tauto_https off\n}\nhttp://127.0.0.1:%d {\n%s}\n", port,
		place(t, readmeExample(t, "Caddyfile"), "127.0.0.1:4002", strings.TrimPrefix(s.ForwardAuthURL, "http://"), "127.0.0.1:8080", backend(t))))
	run(t, listening(port), caddy, "run", "--config", conf, "--adapter", "caddyfile")
	throughProxy(t, s, fmt.Sprintf("http://127.0.0.1:%d/", port), 429)
}
