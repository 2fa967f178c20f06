// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package daemon

import (
	"context"
	"errors"
	"fmt"
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

// retained are the classes of data that may be dropped with age, each with what
// drops it.
var retained = []struct {
	class string
	drop  func(ctx context.Context, s *Server, before time.Time) (gone uint64, err error)
}{
	{"events", func(ctx context.Context, s *Server, before time.Time) (uint64, error) {
		return s.events.Purge(ctx, before)
	}},
	{"keys", func(ctx context.Context, s *Server, before time.Time) (uint64, error) {
		n, err := s.keys.Purge(ctx, before)
		return uint64(n), err
	}},
	{"audits", func(ctx context.Context, s *Server, before time.Time) (uint64, error) {
		n, err := s.audits.engine.Purge(ctx, before)
		return uint64(n), err
	}},
}

// check finds classes that nothing drops, and times that are none.
func (r Retention) check() error {
	for class, text := range r {
		known := false
		var names []string
		for _, k := range retained {
			known = known || k.class == class
			names = append(names, k.class)
		}
		if !known {
			return fmt.Errorf("configuration: retention knows the classes %s", strings.Join(names, ", "))
		}
		if _, err := ParseRetention(text); err != nil {
			return fmt.Errorf("configuration: retention.%s: %w", class, err)
		}
	}
	return nil
}

func (s *Server) purgeOnce(ctx context.Context, classes Retention, now time.Time) error {
	var errs []error
	for _, k := range retained {
		text, ok := classes[k.class]
		if !ok {
			continue
		}
		keep, err := ParseRetention(text)
		if err == nil {
			var n uint64
			n, err = k.drop(ctx, s, now.Add(-keep))
			if n > 0 {
				s.journal.note("retention.purge", "OK", map[string]string{"class": k.class, "count": strconv.FormatUint(n, 10)})
				s.log.Info("data older than its retention was dropped", "class", k.class, "count", n)
			}
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
