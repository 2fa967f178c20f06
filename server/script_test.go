// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/watchword-project/watchword/server/internal/daemon"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"watchword-server": main, "bare-server": runBare})
}

// TestScripts runs the sessions in testdata: what an operator types, as typed.
func TestScripts(t *testing.T) {
	// Where core files are off already, nothing could be seen of the server's own
	// doing.
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: 1 << 20, Max: 1 << 20}); err != nil {
		t.Logf("core files cannot be allowed here: %v", err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			return certificate(e.WorkDir)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"ready": ready, "keyfile": keyFile, "mode": mode, "serving": serving, "terminate": terminate, "cut": cut, "undumped": undumped,
			"hangup": hangup, "logged": logged,
		},
	})
}

// startLimit bounds how long a server takes to be ready, on a busy machine.
const startLimit = 30 * time.Second

// ready waits until the server on a data directory answers that it is ready.
func ready(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: ready data-dir")
	}
	end := time.Now().Add(startLimit)
	for !isReady(ts.MkAbs(args[0])) {
		if time.Now().After(end) {
			ts.Fatalf("no server is ready on %s", args[0])
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func isReady(dir string) bool {
	o, err := daemon.Operate(dir)
	if err != nil {
		return false
	}
	defer o.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	r, err := o.Health.Check(ctx, &healthpb.HealthCheckRequest{})
	return err == nil && r.GetStatus() == healthpb.HealthCheckResponse_SERVING
}

// terminate sends the signal with which service managers stop a server to all
// that run in the background.
func terminate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: terminate")
	}
	for _, cmd := range ts.BackgroundCmds() {
		ts.Check(cmd.Process.Signal(syscall.SIGTERM))
	}
}

// hangup sends the signal at which servers read their files again to all that
// run in the background.
func hangup(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: hangup")
	}
	for _, cmd := range ts.BackgroundCmds() {
		ts.Check(cmd.Process.Signal(syscall.SIGHUP))
	}
}

// logged waits until a file holds what is looked for.
func logged(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: logged file pattern")
	}
	want, err := regexp.Compile(args[1])
	ts.Check(err)
	for end := time.Now().Add(startLimit); !want.MatchString(ts.ReadFile(args[0])); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			ts.Fatalf("%s holds no %s", args[0], args[1])
		}
	}
}

// undumped asks the kernel whether the servers in the background leave core
// files.
func undumped(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: undumped")
	}
	for _, cmd := range ts.BackgroundCmds() {
		var limit unix.Rlimit
		ts.Check(unix.Prlimit(cmd.Process.Pid, unix.RLIMIT_CORE, nil, &limit))
		if limit.Cur != 0 || limit.Max != 0 {
			ts.Fatalf("a core file of %d bytes may be left", limit.Cur)
		}
	}
}

// serving tells that the last background server wrote that it was ready.
func serving(ts *testscript.TestScript, neg bool, args []string) {
	if got := strings.Contains(ts.ReadFile("stderr"), `"msg":"ready"`); got == neg {
		ts.Fatalf("server was ready: %v", got)
	}
}

// keyFile writes a key file that is well-formed, and nobody's key.
func keyFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: keyfile file")
	}
	var b [32]byte
	rand.Read(b[:])
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(hex.EncodeToString(b[:])+"\n"), 0o600))
}

// cut leaves the first half of a file.
func cut(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: cut file")
	}
	path := ts.MkAbs(args[0])
	st, err := os.Stat(path)
	ts.Check(err)
	ts.Check(os.Truncate(path, st.Size()/2))
}

// mode compares the mode of files with what it should be.
func mode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: mode 0600 file...")
	}
	for _, name := range args[1:] {
		st, err := os.Stat(ts.MkAbs(name))
		ts.Check(err)
		if got := "0" + octal(st.Mode().Perm()); got != args[0] {
			ts.Fatalf("mode of %s is %s, want %s", filepath.Base(name), got, args[0])
		}
	}
}

func octal(m os.FileMode) string {
	return string([]byte{'0' + byte(m>>6&7), '0' + byte(m>>3&7), '0' + byte(m&7)})
}
