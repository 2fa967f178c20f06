// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Command watchword-server judges, keeps and audits passwords, and limits
// login attempts, over gRPC and REST.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"reflect"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc/grpclog"

	"github.com/watchword-project/watchword/client/watchword/completion"
	"github.com/watchword-project/watchword/server/internal/daemon"
)

// version is set when a release is built.
var version = "dev"

// stopTimeout is how long calls under way may take to end after a signal.
const stopTimeout = 30 * time.Second

// cli is the command line.
type cli struct {
	DataDir string           `help:"Directory of keys and data." default:"./watchword-data" type:"path"`
	Config  string           `help:"Configuration file (YAML)." type:"path"`
	Version kong.VersionFlag `help:"Print the version and exit."`

	Serve     serveCmd     `cmd:"" default:"withargs" help:"Run the server (the default)."`
	Init      initCmd      `cmd:"" help:"Make the data directory with its keys."`
	Health    healthCmd    `cmd:"" help:"Ask the running server whether it is ready."`
	Backup    backupCmd    `cmd:"" help:"Write an encrypted backup, also while the server runs."`
	Restore   restoreCmd   `cmd:"" help:"Make the store of a data directory from a backup."`
	Calibrate calibrateCmd `cmd:"" help:"Measure this machine and propose a cost of hashes."`
	AttackSim attackSimCmd `cmd:"" help:"Try the configured throttle on attacks, without a server."`
	Corpus    corpusCmd    `cmd:"" help:"Build, update, check and export breach corpora."`
	Doctor    doctorCmd    `cmd:"" help:"Examine the installation: what is reachable, readable, old or weak."`
	Events    eventsCmd    `cmd:"" help:"Check the event log."`
	Policy    policyCmd    `cmd:"" help:"Examine and try policies; no server is needed."`
	Tenant    tenantCmd    `cmd:"" help:"Destroy a tenant of the running server."`
	Key       keyCmd       `cmd:"" help:"Create, list and revoke API keys of the running server."`
	Demo      demoCmd      `cmd:"" help:"Run a server to try out, with something in it; it leaves nothing behind."`
	Protoset  protosetCmd  `cmd:"" help:"Write the descriptors of the interface, for grpcurl and clients in other languages."`

	Completion completion.Cmd `cmd:"" help:"Print a completion script for a shell."`
}

func main() {
	var c cli
	parser := kong.Must(&c, kong.Name("watchword-server"), kong.Description("Password policy service."), kong.Vars{"version": build()})
	k, err := parser.Parse(os.Args[1:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "watchword-server: %s\nSee watchword-server --help.\n", usage(err))
		os.Exit(2)
	}
	if holdsFaults {
		fmt.Fprintln(os.Stderr, "watchword-server: this build holds faults for its own tests: build it without the tag mutants")
		os.Exit(2)
	}
	// gRPC's own log has texts of its peers in it; what matters of a request is
	// in ours.
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(discard{}, discard{}, discard{}))
	// So has that of the Redis client; a store that is lost is an alarm in ours.
	redis.SetLogger(discard{})
	daemon.Quiet()
	if err := k.Run(&c); err != nil {
		fmt.Fprintln(os.Stderr, "watchword-server:", err)
		var exit exitError
		if errors.As(err, &exit) {
			os.Exit(exit.code)
		}
		os.Exit(1)
	}
}

// usage says what is wrong with a command line without repeating it: what
// somebody typed in the wrong place may have been a secret.
func usage(err error) string {
	text := err.Error()
	for _, said := range []string{"unexpected argument", "unknown flag"} {
		if strings.HasPrefix(text, said) {
			if said == "unexpected argument" {
				said += ", or no such command"
			}
			if _, meant, ok := strings.Cut(text, ", did you mean "); ok {
				said += ", did you mean " + meant
			}
			return said
		}
	}
	text, _, _ = strings.Cut(text, " but got ")
	return text
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

func (discard) Printf(context.Context, string, ...any) {}

// build describes the binary: its version, the revision and time of its source,
// and what it was built with and for.
func build() string {
	text := "watchword-server " + version
	if info, ok := debug.ReadBuildInfo(); ok {
		of := map[string]string{}
		for _, s := range info.Settings {
			of[s.Key] = s.Value
		}
		for _, part := range []string{of["vcs.revision"], of["vcs.time"]} {
			if part != "" {
				text += " " + part
			}
		}
		if of["vcs.modified"] == "true" {
			text += " modified"
		}
		text += fmt.Sprintf(" %s %s/%s", info.GoVersion, runtime.GOOS, runtime.GOARCH)
	}
	return text
}

type serveCmd struct {
	GRPCAddr string `help:"Address of the gRPC door (default 127.0.0.1:9443)." name:"grpc-addr"`
	HTTPAddr string `help:"Address of the REST door (default 127.0.0.1:8443)." name:"http-addr"`
}

func (s *serveCmd) Run(c *cli) error {
	log := logger()
	if err := refuseDumps(); err != nil {
		log.Warn("core dumps could not be switched off", "error", err)
	}
	config, err := c.config()
	if err != nil {
		return err
	}
	written := config
	if s.GRPCAddr != "" {
		config.Listen.GRPC = s.GRPCAddr
	}
	if s.HTTPAddr != "" {
		config.Listen.HTTP = s.HTTPAddr
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// From the beginning: a server that starts must not end at a SIGHUP.
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	// A hash holds its thread until it ends. With as many threads again as may
	// hash, there is always one to take in requests and to refuse them at once.
	slots := runtime.GOMAXPROCS(0)
	if config.Hashing.Slots > 0 {
		slots = config.Hashing.Slots
	}
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + slots)
	begin := time.Now()
	server, err := daemon.Start(ctx, daemon.Options{Config: config, DataDir: c.DataDir, Version: build(), Log: log, Slots: slots})
	if err != nil {
		return err
	}
	boundGarbage(ctx)
	log.Info("ready", append(server.Doors(), "data_dir", c.DataDir, "version", version, "took_ms", time.Since(begin).Milliseconds())...)
	var failed error
	for running := true; running; {
		select {
		case <-hangup:
			if err := server.Reload(ctx); err != nil {
				log.Error("not all could be read again; what was in force stays", "error", err)
			} else {
				log.Info("read certificates, corpora, policies, keys and tenants again")
			}
			// What the file says now holds from the next start; better to hear today
			// that there would be none.
			if next, err := c.config(); err != nil {
				log.Error("the server would not start with the configuration file as it is now", "error", err)
			} else if !reflect.DeepEqual(next, written) {
				log.Warn("the configuration file has changed: it holds from the next start")
			}
		case <-ctx.Done():
			log.Info("stopping: calls under way may end; a second signal stops at once")
			running = false
		case failed = <-server.Failed():
			running = false
		}
	}
	stop() // from here on a signal ends the process
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	err = errors.Join(failed, server.Stop(ctx))
	log.Info("stopped")
	return err
}

func (c *cli) config() (daemon.Config, error) {
	if c.Config == "" {
		return daemon.Default(), nil
	}
	return daemon.Load(c.Config)
}

// logger writes for people to a terminal, and JSON to everything else.
func logger() *slog.Logger {
	if st, err := os.Stderr.Stat(); err == nil && st.Mode()&os.ModeCharDevice != 0 {
		return slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	return slog.New(slog.NewJSONHandler(os.Stderr, nil))
}

type initCmd struct {
	IfNeeded bool `help:"Do nothing, and exit with 0, where the keys are there already."`
}

func (i *initCmd) Run(c *cli) error {
	err := daemon.Init(c.DataDir)
	if i.IfNeeded && errors.Is(err, daemon.ErrInitialised) {
		return nil
	}
	return err
}
