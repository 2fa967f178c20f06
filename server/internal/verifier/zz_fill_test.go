package verifier_test

import (
	"fmt"
	"os"
	"testing"
	"time"
)

func BenchmarkZZFill(b *testing.B) {
	for _, n := range []int{10_000, 100_000, 1_000_000, 10_000_000} {
		dir := fmt.Sprint("/tmp/keeping/scale/", n)
		if os.MkdirAll(dir, 0o700) != nil {
			b.Fatal("mkdir")
		}
		g := openGate(b, dir)
		v, closed := open(b, g, low)
		start := time.Now()
		importRows(b, v, n, min(n, 500_000))
		closed()
		if err := g.Store.Close(); err != nil {
			b.Fatal(err)
		}
		fmt.Println(n, time.Since(start))
	}
}
