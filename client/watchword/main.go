// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Command watchword asks a watchword server from the command line. Passwords
// are asked for on the terminal without echo, or read from standard input;
// never are they arguments, and none is printed but those it generates.
//
// It exits with 0 when the answer is yes, with 1 when it is no (rejected, no
// match, rows not taken), with 3 when no login attempt is left, and with 2 when
// there is no answer.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/watchword-project/watchword/client"
	"github.com/watchword-project/watchword/client/watchword/completion"
)

// version is set when a release is built.
var version = "dev"

// Exit codes.
const (
	exitNo     = 1
	exitError  = 2
	exitDenied = 3
)

// cli is the command line.
type cli struct {
	Addr    string           `help:"Address of the server, host:port." env:"WATCHWORD_ADDR" default:"127.0.0.1:9443"`
	KeyFile string           `help:"File that holds the API key." env:"WATCHWORD_KEY_FILE"`
	CA      string           `help:"Authority of the server's certificate (PEM)." name:"ca" type:"path"`
	Cert    string           `help:"Client certificate (PEM)." type:"path"`
	Key     string           `help:"File of the client certificate's key (PEM)." type:"path"`
	Timeout time.Duration    `help:"How long to wait for an answer." default:"10s"`
	Output  string           `help:"Form of the answer: text or json." short:"o" enum:"text,json" default:"text"`
	Version kong.VersionFlag `help:"Print the version and exit."`

	Check        checkCmd        `cmd:"" help:"Judge a password. Exits with 1 when it is rejected."`
	PrivateCheck privateCheckCmd `cmd:"" help:"Ask a private list without showing the password. Exits with 1 when it, or a near variant, is listed."`
	Set          setCmd          `cmd:"" help:"Store a password. Exits with 1 when it is rejected."`
	Verify       verifyCmd       `cmd:"" help:"Verify a login. Exits with 1 when it does not match, with 3 when no attempt is left."`
	Change       changeCmd       `cmd:"" help:"Verify the current password and store a new one."`
	Get          getCmd          `cmd:"" help:"Describe a stored credential."`
	State        stateCmd        `cmd:"" help:"Change the state of a credential."`
	Delete       deleteCmd       `cmd:"" help:"Delete a credential and everything kept with it."`
	Import       importCmd       `cmd:"" help:"Store hashes made elsewhere. Exits with 1 when a row was not taken."`
	Attempt      attemptCmd      `cmd:"" help:"Reserve and settle login attempts."`
	Generate     generateCmd     `cmd:"" help:"Make passwords that satisfy a policy, and print them."`
	Keys         keysCmd         `cmd:"" help:"Create, list and revoke API keys."`
	Policy       policyCmd       `cmd:"" help:"List, show and describe policies."`
	Audit        auditCmd        `cmd:"" help:"Look for weak stored credentials in bulk."`
	Completion   completion.Cmd  `cmd:"" help:"Print a completion script for a shell."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

// run runs one command line and gives its exit code.
func run(ctx context.Context, args []string) int {
	var c cli
	parser := kong.Must(&c, kong.Name("watchword"), kong.Description("Ask a watchword server."), kong.Vars{"version": build()})
	k, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(os.Stderr, "watchword: %s\nSee watchword --help.\n", usage(err))
		return exitError
	}
	k.BindTo(ctx, (*context.Context)(nil))
	err = k.Run(&c)
	switch {
	case errors.Is(err, client.ErrUnauthenticated) && c.KeyFile == "":
		err = fmt.Errorf("%w: none was sent. Name its file with --key-file or WATCHWORD_KEY_FILE", err)
	case errors.Is(err, client.ErrUnavailable) && strings.Contains(err.Error(), "server preface"):
		err = fmt.Errorf("%w. Is this the gRPC door, and does it want TLS (--ca)?", err)
	}
	return report(err)
}

// usage says what is wrong with a command line without repeating it: what
// somebody typed in the wrong place may have been a password.
func usage(err error) string {
	text := err.Error()
	switch {
	case strings.HasPrefix(text, "unexpected argument"):
		var parse *kong.ParseError
		if errors.As(err, &parse) && (parse.Context.Selected() == nil || !parse.Context.Selected().Leaf()) {
			return "there is no such command" + meant(text)
		}
		return "an argument too many. A password is never an argument: it is asked for, or read with --stdin."
	case strings.HasPrefix(text, "unknown flag"):
		return "an unknown flag" + meant(text)
	}
	text, _, _ = strings.Cut(text, " but got ")
	if strings.HasSuffix(text, "expected duration") {
		text += ", such as 90s or 2160h"
	}
	return text
}

// meant is the part of a complaint that says what is there and was perhaps
// meant.
func meant(text string) string {
	_, meant, ok := strings.Cut(text, ", did you mean ")
	if !ok {
		return ""
	}
	return ", did you mean " + meant
}

// build describes the binary.
func build() string {
	text := "watchword " + version
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				text += " " + s.Value
			}
		}
		text += " " + info.GoVersion
	}
	return text
}

// no is an answer that is told already and ends with an exit code.
type no struct{ code int }

func (n *no) Error() string { return fmt.Sprintf("exit with %d", n.code) }

// report tells people of an error and gives the exit code.
func report(err error) int {
	var (
		answer   *no
		denied   *client.DeniedError
		rejected *client.RejectedError
	)
	switch {
	case err == nil:
		return 0
	case errors.As(err, &answer):
		return answer.code
	case errors.As(err, &denied):
		fmt.Fprintf(os.Stderr, "watchword: %v\n", denied)
		return exitDenied
	case errors.As(err, &rejected):
		fmt.Fprintln(os.Stderr, "watchword: the password is not acceptable")
		printViolations(os.Stderr, rejected.Violations, rejected.Advice)
		return exitNo
	case errors.Is(err, context.DeadlineExceeded):
		fmt.Fprintln(os.Stderr, "watchword: no answer within the timeout")
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(os.Stderr, "watchword: interrupted")
	default:
		fmt.Fprintf(os.Stderr, "watchword: %v\n", err)
	}
	return exitError
}

// ask connects to the server and asks it.
func (c *cli) ask(f func(*client.Client) error) error { return c.askOf("", f) }

// askOf is ask for a client that knows a private list.
func (c *cli) askOf(list string, f func(*client.Client) error) error {
	s, err := client.New(client.Options{Addr: c.Addr, KeyFile: c.KeyFile, CAFile: c.CA, CertFile: c.Cert, KeyPairFile: c.Key, Timeout: c.Timeout,
		PrivateList: list})
	if err != nil {
		return err
	}
	defer s.Close()
	return f(s)
}

// print prints an answer: v as JSON when that was asked for, else by text.
func (c *cli) print(v any, text func()) error {
	if c.Output != "json" {
		text()
		return nil
	}
	e := json.NewEncoder(os.Stdout)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
