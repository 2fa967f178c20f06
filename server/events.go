// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
	"github.com/watchword-project/watchword/server/internal/daemon"
)

type eventsCmd struct {
	Verify eventsVerifyCmd `cmd:"" help:"Check that the event log is as it was written."`
}

type eventsVerifyCmd struct{}

func (eventsVerifyCmd) Run(c *cli) error {
	r, err := verifyEvents(c)
	if err != nil {
		return err
	}
	if !r.GetIntact() {
		return fmt.Errorf("the event log is not intact: line %d: %s; the %d lines before it are", r.GetBrokenAt(), r.GetWhy(), r.GetEvents())
	}
	fmt.Printf("intact: %d events\n", r.GetEvents())
	return nil
}

// verifyEvents asks the running server, which remembers the newest line, or
// reads the files when none runs.
func verifyEvents(c *cli) (*watchwordv1.VerifyEventsResponse, error) {
	s, err := daemon.Operate(c.DataDir)
	if err == nil {
		defer s.Close()
		ctx, cancel := context.WithTimeout(context.Background(), examineTimeout)
		defer cancel()
		r, err := s.Admin.VerifyEvents(ctx, &watchwordv1.VerifyEventsRequest{})
		if err == nil {
			return r, nil
		}
		if !unreachable(err) {
			return nil, told(err)
		}
	} else if !errors.Is(err, daemon.ErrNotRunning) {
		return nil, err
	}
	config, err := c.config()
	if err != nil {
		return nil, err
	}
	r, err := daemon.VerifyEvents(config, c.DataDir)
	if err != nil {
		return nil, err
	}
	return &watchwordv1.VerifyEventsResponse{Intact: r.Intact, Events: int64(r.Events), BrokenAt: int64(r.BrokenAt), Why: r.Why}, nil
}

// unreachable tells whether nobody answers at the socket, as after a crash that
// left it behind.
func unreachable(err error) bool { return status.Code(err) == codes.Unavailable }

// told is an answer of the server as a sentence.
func told(err error) error {
	if st, ok := status.FromError(err); ok {
		return errors.New(st.Message())
	}
	return err
}
