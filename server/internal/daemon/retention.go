// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package daemon

import (
	"context"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

// purgeEvery is how often what is older than its class may be is dropped.
const purgeEvery = time.Hour

// ParseRetention reads how long a class of data is kept: a number of days, such
// as 180d, or a duration, such as 72h.
func ParseRetention(text string) (time.Duration, error) {
	const most = 100 * 365
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.Atoi(days)
		if err != nil || n < 1 || n > most {
			return 0, errors.New("not a time such as 180d")
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 || d > math.MaxInt64/2 {
		return 0, errors.New("not a time such as 180d")
	}
	return d, nil
}

// purge drops what has been kept long enough until ctx ends.
func (s *Server) purge(ctx context.Context, classes Retention, now func() time.Time) {
	t := time.NewTicker(purgeEvery)
	defer t.Stop()
	for {
		if err := s.purgeOnce(ctx, classes, now()); err != nil && ctx.Err() == nil {
			s.log.Error("what is older than its retention could not be dropped", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

func (s *Server) purgeOnce(ctx context.Context, classes Retention, now time.Time) error {
	var errs []error
	if text, ok := classes["events"]; ok {
		keep, err := ParseRetention(text)
		if err == nil {
			var n uint64
			n, err = s.events.Purge(ctx, now.Add(-keep))
			if n > 0 {
				s.log.Info("events older than their retention were dropped", "events", n)
			}
		}
		errs = append(errs, err)
	}
	if text, ok := classes["audits"]; ok {
		keep, err := ParseRetention(text)
		if err == nil {
			err = s.audits.engine.Purge(ctx, now.Add(-keep))
		}
		errs = append(errs, err)
	}
	if text, ok := classes["keys"]; ok {
		keep, err := ParseRetention(text)
		if err == nil {
			var n int
			n, err = s.keys.Purge(ctx, now.Add(-keep))
			if n > 0 {
				s.journal.note("key.purge", "OK", map[string]string{"count": strconv.Itoa(n)})
			}
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
