// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package password_test

import (
	"bytes"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/watchword-project/watchword/server/internal/password"
)

const service = 10 * time.Millisecond

// meter counts how many run at the same moment.
type meter struct{ now, peak, total atomic.Int64 }

func (m *meter) run(d time.Duration) {
	n := m.now.Add(1)
	for {
		p := m.peak.Load()
		if n <= p || m.peak.CompareAndSwap(p, n) {
			break
		}
	}
	time.Sleep(d)
	m.total.Add(1)
	m.now.Add(-1)
}

// cancelStorm sends n clients, each of which goes away at a random moment
// before or during its hash, and gives the most hashes that ran together.
func cancelStorm(n int, admit func(ctx context.Context, work func()) error) int64 {
	var m meter
	var wg sync.WaitGroup
	r := rand.New(rand.NewPCG(1, 2))
	for range n {
		// Not a deadline, which the pool could see coming.
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(time.Duration(r.Int64N(int64(6*service))), cancel)
		time.Sleep(time.Duration(r.Int64N(int64(service / 4))))
		wg.Go(func() {
			defer cancel()
			_ = admit(ctx, func() { m.run(service) })
		})
	}
	wg.Wait()
	time.Sleep(time.Second) // the runs that were left alone
	return m.peak.Load()
}

func TestCancelledClientsDoNotFreeSlots(t *testing.T) {
	const slots, clients = 3, 1000
	synctest.Test(t, func(t *testing.T) {
		p := password.NewPool(slots, 1<<20, time.Second, service)
		defer p.Close()
		peak := cancelStorm(clients, func(ctx context.Context, work func()) error {
			return p.Do(ctx, password.Interactive, 1, password.Text{}, func([]byte) { work() })
		})
		s := p.Stats()
		if peak != slots || s.Peak != slots {
			t.Errorf("hashes that ran together: %d (counted by the pool: %d), want %d", peak, s.Peak, slots)
		}
		if s.Orphans == 0 || s.Left == 0 {
			t.Errorf("the storm was too mild: %d left while running, %d while waiting", s.Orphans, s.Left)
		}
		if s.Running != 0 || s.Queued != 0 {
			t.Errorf("after the storm %d run and %d wait, want none", s.Running, s.Queued)
		}
	})
	// The fault this test is for: a permit that belongs to the request.
	synctest.Test(t, func(t *testing.T) {
		permits := make(chan struct{}, slots)
		peak := cancelStorm(clients, func(ctx context.Context, work func()) error {
			select {
			case permits <- struct{}{}:
			case <-ctx.Done():
				return ctx.Err()
			}
			defer func() { <-permits }()
			done := make(chan struct{})
			go func() { work(); close(done) }()
			select {
			case <-done:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		if peak <= slots {
			t.Errorf("a permit tied to the request let %d run together: the storm cannot see the fault", peak)
		}
	})
}

func TestFullQueueRefusesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const wait = 20 * service
		p := password.NewPool(2, 1<<20, wait, service)
		defer p.Close()
		var m meter
		var wg sync.WaitGroup
		var served, shed atomic.Int64
		begin := time.Now()
		for range 1000 {
			wg.Go(func() {
				came := time.Now()
				err := p.Do(context.Background(), password.Interactive, 1, password.Text{}, func([]byte) { m.run(service) })
				took := time.Since(came)
				var busy *password.BusyError
				switch {
				case err == nil:
					served.Add(1)
					if took > wait+2*service {
						t.Errorf("an accepted hash took %v, want at most %v", took, wait+2*service)
					}
				case errors.As(err, &busy):
					shed.Add(1)
					if took != 0 {
						t.Errorf("a refusal took %v, want none at all", took)
					}
					if busy.RetryAfter <= 0 || busy.RetryAfter > 3*wait {
						t.Errorf("RetryAfter = %v", busy.RetryAfter)
					}
				default:
					t.Errorf("Do = %v", err)
				}
			})
		}
		wg.Wait()
		if n, most := served.Load(), int64(2*(wait/service)+2); n < most*3/4 || n > most {
			t.Errorf("%d were served, want a little below %d: the queue is bounded by time", n, most)
		}
		if took := time.Since(begin); took > wait+2*service {
			t.Errorf("all was over after %v, want at most %v", took, wait+2*service)
		}
		if m.total.Load() != served.Load() || served.Load()+shed.Load() != 1000 {
			t.Errorf("%d runs for %d served and %d shed", m.total.Load(), served.Load(), shed.Load())
		}
	})
}

// What Admit says is what Do would, without the hash.
func TestAdmit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := password.NewPool(2, 1<<20, 10*service, service)
		var wg sync.WaitGroup
		refused := 0
		for range 100 {
			said := p.Admit(t.Context())
			var busy *password.BusyError
			if said != nil && !errors.As(said, &busy) {
				t.Fatalf("Admit = %v", said)
			}
			wg.Go(func() {
				err := p.Do(t.Context(), password.Interactive, 1, password.Text{}, func([]byte) { time.Sleep(service) })
				if (err == nil) != (said == nil) {
					t.Errorf("Admit = %v, and then Do = %v", said, err)
				}
			})
			synctest.Wait()
			if said != nil {
				refused++
			}
		}
		wg.Wait()
		if refused < 50 || refused == 100 {
			t.Errorf("%d of 100 at once refused by 2 slots with room for 8 runs each", refused)
		}
		soon, cancel := context.WithTimeout(t.Context(), service/2)
		defer cancel()
		if err := p.Admit(soon); err != nil {
			t.Errorf("with idle slots Admit = %v", err)
		}
		p.Close()
		if err := p.Admit(t.Context()); !errors.Is(err, password.ErrClosed) {
			t.Errorf("after Close Admit = %v", err)
		}
	})
}

func TestWaitLimitHoldsWhenTheEstimateIsWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const wait = 100 * time.Millisecond
		const guess = time.Microsecond
		p := password.NewPool(1, 1<<20, wait, guess)
		defer p.Close()
		go p.Do(t.Context(), password.Interactive, 1, password.Text{}, func([]byte) { time.Sleep(time.Second) })
		synctest.Wait()
		came := time.Now()
		err := p.Do(t.Context(), password.Interactive, 1, password.Text{}, func([]byte) { t.Error("it ran") })
		var busy *password.BusyError
		if !errors.As(err, &busy) || time.Since(came) != wait+guess {
			t.Errorf("Do = %v after %v, want BusyError after %v", err, time.Since(came), wait+guess)
		}
	})
}

func TestDeadlineThatCannotBeMetIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := password.NewPool(1, 1<<20, time.Second, service)
		defer p.Close()
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				_ = p.Do(t.Context(), password.Interactive, 1, password.Text{}, func([]byte) { time.Sleep(service) })
			})
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 3*service)
		defer cancel()
		came := time.Now()
		err := p.Do(ctx, password.Interactive, 1, password.Text{}, func([]byte) { t.Error("it ran") })
		var busy *password.BusyError
		if !errors.As(err, &busy) || time.Since(came) != 0 {
			t.Errorf("Do = %v after %v, want BusyError at once", err, time.Since(came))
		}
		wg.Wait()
	})
}

func TestInteractiveGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := password.NewPool(2, 1<<20, time.Second, service)
		defer p.Close()
		do := func(c password.Class, f func()) {
			if err := p.Do(t.Context(), c, 1, password.Text{}, func([]byte) { f(); time.Sleep(service) }); err != nil {
				t.Errorf("Do = %v", err)
			}
		}
		do(password.Interactive, func() {})

		// While logins come, a batch leaves one of two slots free.
		var m meter
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() { do(password.Batch, func() { m.run(0) }) })
		}
		synctest.Wait()
		if n := p.Stats().Running; n != 1 {
			t.Errorf("%d batch jobs run, want 1 of 2 slots", n)
		}
		came := time.Now()
		do(password.Interactive, func() {
			if waited := time.Since(came); waited != 0 {
				t.Errorf("a login waited %v behind a batch", waited)
			}
		})
		wg.Wait()

		// With one slot busy by a batch, a login overtakes the queue.
		q := password.NewPool(1, 1<<20, time.Second, service)
		defer q.Close()
		var order []password.Class
		run := func(c password.Class) {
			_ = q.Do(t.Context(), c, 1, password.Text{}, func([]byte) { order = append(order, c); time.Sleep(service) })
		}
		for range 3 {
			wg.Go(func() { run(password.Batch) })
			synctest.Wait()
		}
		wg.Go(func() { run(password.Interactive) })
		wg.Wait()
		if len(order) != 4 || order[1] != password.Interactive {
			t.Errorf("order = %v, want the login second", order)
		}
	})
}

func TestQuietMachineGivesBatchAllSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := password.NewPool(4, 1<<20, time.Second, service)
		defer p.Close()
		time.Sleep(time.Hour)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				_ = p.Do(t.Context(), password.Batch, 1, password.Text{}, func([]byte) { time.Sleep(service) })
			})
		}
		synctest.Wait()
		if n := p.Stats().Running; n != 4 {
			t.Errorf("%d batch jobs run on a quiet machine, want 4", n)
		}
		wg.Wait()
	})
}

// TestTenantsShareSlots has tenants ask for hashes at the same time. Those who
// ask for more than there is get equal time, and who asks for less than that is
// never refused and hardly waits, whatever the others do.
func TestTenantsShareSlots(t *testing.T) {
	type tenant struct {
		callers int
		units   float64       // of each hash
		pause   time.Duration // before the next; negative: asks for it while the one before runs
	}
	const (
		units = 1
		over  = 30 * time.Second
	)
	for _, c := range []struct {
		name    string
		class   password.Class
		slots   int
		tenants []tenant
		share   []float64 // of the slots' time
		polite  []int     // tenants who must not be refused
	}{
		{"one greedy", password.Interactive, 2, []tenant{{300, units, 0}, {1, units, service}, {1, units, service}}, nil, []int{1, 2}},
		{"all greedy", password.Interactive, 2, []tenant{{300, units, 0}, {60, units, 0}, {60, units, 0}}, []float64{1. / 3, 1. / 3, 1. / 3}, nil},
		// What it had is not forgotten when its line is empty.
		{"asks while it is served", password.Interactive, 1, []tenant{{100, units, 0}, {1, units, -1}}, []float64{.5, .5}, []int{1}},
		{"dear and cheap", password.Interactive, 1, []tenant{{60, 5 * units, 0}, {60, units, 0}}, []float64{.5, .5}, nil},
		{"alone", password.Interactive, 2, []tenant{{300, units, 0}}, []float64{1}, nil},
		{"batches, one greedy", password.Batch, 2, []tenant{{300, units, 0}, {1, units, service}, {1, units, service}}, nil, []int{1, 2}},
		{"batches, all greedy", password.Batch, 2, []tenant{{300, units, 0}, {60, units, 0}, {60, units, 0}}, []float64{1. / 3, 1. / 3, 1. / 3}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := password.NewPool(c.slots, 1<<20, 40*service, service)
				defer p.Close()
				got, refused, longest := make([]time.Duration, len(c.tenants)), make([]int, len(c.tenants)), make([]time.Duration, len(c.tenants))
				var mu sync.Mutex
				var wg sync.WaitGroup
				begin := time.Now()
				for i, who := range c.tenants {
					class := c.class.Of(strconv.Itoa(i))
					for n := range who.callers {
						var next func()
						next = func() {
							time.Sleep(time.Duration(n) * service / 1000)
							for time.Since(begin) < over {
								took, came := time.Duration(who.units*float64(service)), time.Now()
								err := p.DoUnits(context.Background(), class, who.units, func() {
									if who.pause < 0 {
										wg.Go(next)
									}
									time.Sleep(took)
								})
								var busy *password.BusyError
								mu.Lock()
								if err == nil {
									got[i] += took
									longest[i] = max(longest[i], time.Since(came)-took)
								} else if errors.As(err, &busy) {
									refused[i]++
								} else {
									t.Error(err)
								}
								mu.Unlock()
								if err == nil && who.pause < 0 {
									return
								}
								if err != nil {
									time.Sleep(busy.RetryAfter)
								}
								time.Sleep(who.pause)
							}
						}
						wg.Go(next)
					}
				}
				wg.Wait()
				all := time.Duration(c.slots) * time.Since(begin)
				sum := time.Duration(0)
				for i, d := range got {
					sum += d
					share := float64(d) / float64(all)
					if c.share != nil && math.Abs(share-c.share[i]) > .04 {
						t.Errorf("tenant %d had %.3f of the time, want %.3f", i, share, c.share[i])
					}
				}
				if float64(sum) < .95*float64(all) {
					t.Errorf("%v of %v were used", sum, all)
				}
				for _, i := range c.polite {
					if refused[i] > 0 || longest[i] > 4*service {
						t.Errorf("tenant %d was refused %d times, and waited for %v once", i, refused[i], longest[i])
					}
				}
				t.Logf("time %v, refused %v, longest wait %v", got, refused, longest)
			})
		})
	}
}

func TestLargeHashTakesSeveralSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const share = 1 << 20
		p := password.NewPool(4, share, time.Minute, service)
		defer p.Close()
		var memory, peak atomic.Int64
		var wg sync.WaitGroup
		r := rand.New(rand.NewPCG(3, 4))
		for range 500 {
			n := 1 + r.Int64N(4*share)
			c := [...]password.Class{password.Interactive, password.Batch}[r.IntN(2)]
			wg.Go(func() {
				err := p.Do(t.Context(), c, n, password.Text{}, func([]byte) {
					m := memory.Add(n)
					for {
						old := peak.Load()
						if m <= old || peak.CompareAndSwap(old, m) {
							break
						}
					}
					time.Sleep(service)
					memory.Add(-n)
				})
				var busy *password.BusyError
				if err != nil && !(c == password.Batch && errors.As(err, &busy)) {
					t.Errorf("Do = %v", err)
				}
			})
		}
		wg.Wait()
		if peak.Load() > 4*share || peak.Load() < 3*share {
			t.Errorf("at most %d bytes were in use, want close to and not over %d", peak.Load(), 4*share)
		}
	})
}

func TestCloseEndsWhatRunsAndRefusesTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := password.NewPool(1, 1<<20, time.Second, service)
		first := make(chan error, 1)
		second := make(chan error, 1)
		go func() {
			first <- p.Do(context.Background(), password.Interactive, 1, password.Text{}, func([]byte) { time.Sleep(service) })
		}()
		synctest.Wait()
		go func() {
			second <- p.Do(context.Background(), password.Interactive, 1, password.Text{}, func([]byte) { t.Error("it ran") })
		}()
		synctest.Wait()
		came := time.Now()
		p.Close()
		if time.Since(came) != service {
			t.Errorf("Close returned after %v, want %v: it waits for what runs", time.Since(came), service)
		}
		p.Close()
		if err := <-first; err != nil {
			t.Errorf("running: Do = %v", err)
		}
		if err := <-second; !errors.Is(err, password.ErrClosed) {
			t.Errorf("waiting: Do = %v, want ErrClosed", err)
		}
		if err := p.Do(context.Background(), password.Batch, 1, password.Text{}, nil); !errors.Is(err, password.ErrClosed) {
			t.Errorf("after Close: Do = %v, want ErrClosed", err)
		}
	})
}

// A panic in a library's KDF fails one hash: the slot goes on working.
func TestPanicFailsOneHash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := password.NewPool(1, 1<<20, time.Second, service)
		defer p.Close()
		err := p.Do(t.Context(), password.Interactive, 1, text(t, canary), func(b []byte) { panic(string(b)) })
		if err == nil || bytes.Contains([]byte(err.Error()), []byte(canary)) {
			t.Errorf("Do = %v, want an error that does not repeat the panic", err)
		}
		if err := p.Do(t.Context(), password.Interactive, 1, text(t, canary), func([]byte) {}); err != nil {
			t.Errorf("the next Do = %v", err)
		}
	})
}

// A caller may wipe its password as soon as it has left, and the running hash
// must not see that.
func TestRunKeepsItsOwnCopyOfThePassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := password.NewPool(1, 1<<20, time.Second, service)
		defer p.Close()
		secret := text(t, canary)
		ctx, cancel := context.WithTimeout(t.Context(), service/2)
		defer cancel()
		var seen []byte
		var plain []byte
		err := p.Do(ctx, password.Interactive, 1, secret, func(b []byte) {
			plain = b
			time.Sleep(service)
			seen = bytes.Clone(b)
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Do = %v", err)
		}
		secret.Wipe()
		time.Sleep(service)
		synctest.Wait()
		if string(seen) != canary {
			t.Error("the running hash saw the wiped password")
		}
		if bytes.Contains(plain[:cap(plain)], []byte("canary")) {
			t.Error("the slot keeps the password after the run")
		}
	})
}
