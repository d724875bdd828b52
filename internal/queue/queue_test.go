package queue_test

import (
	"testing"
	"testing/synctest"

	"github.com/sync-directory/sync-directory/internal/queue"
)

func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := queue.New[int]()
		got := make(chan []int, 1)
		go func() { got <- q.All() }()
		synctest.Wait()
		q.Put()
		synctest.Wait()
		if len(got) != 0 {
			t.Fatal("nothing was put, and taken")
		}
		q.Put(1, 2)
		if v := <-got; len(v) != 2 || q.Len() != 0 {
			t.Errorf("got %v, %d left", v, q.Len())
		}
		q.Put(3, 4)
		if v, ok := q.One(); v != 3 || !ok || q.Len() != 1 {
			t.Errorf("got %d, %v", v, ok)
		}
		q.Close()
		if v := q.All(); len(v) != 1 || v[0] != 4 {
			t.Errorf("what was put before closing: %v", v)
		}
		if v := q.All(); v != nil {
			t.Errorf("closed: %v", v)
		}
		if _, ok := q.One(); ok {
			t.Error("closed, and there is one")
		}
	})
}
