// Package queue is a list between goroutines that one side fills without ever
// waiting.
//
// Its law: Put never blocks. It is for places where waiting could close a
// circle of goroutines that wait for each other; what bounds a queue is the
// protocol, which allows a peer so many open questions and no more.
package queue

import "sync"

// Queue is a first-in first-out list. It is safe for concurrent use.
type Queue[T any] struct {
	mu     sync.Mutex // guards the rest
	filled sync.Cond
	items  []T
	closed bool
}

// New returns an empty queue.
func New[T any]() *Queue[T] {
	q := new(Queue[T])
	q.filled.L = &q.mu
	return q
}

// Put adds items at the end.
func (q *Queue[T]) Put(items ...T) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.items = append(q.items, items...)
	q.filled.Broadcast()
}

// All takes all items, waiting while there are none. It returns nil when the
// queue is closed and empty.
func (q *Queue[T]) All() []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.wait()
	items := q.items
	q.items = nil
	return items
}

// One takes the first item, waiting while there is none. It returns false
// when the queue is closed and empty.
func (q *Queue[T]) One() (item T, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.wait()
	if len(q.items) == 0 {
		return item, false
	}
	item = q.items[0]
	q.items = q.items[1:]
	return item, true
}

// wait returns when there is an item, or never will be. mu must be held.
func (q *Queue[T]) wait() {
	for len(q.items) == 0 && !q.closed {
		q.filled.Wait()
	}
}

// Len returns how many items there are.
func (q *Queue[T]) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items)
}

// Close lets go whoever waits, once everything is taken.
func (q *Queue[T]) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.filled.Broadcast()
}
