package store

// KV keeps small values under keys in one namespace: state that is not content
// addressed. All methods may be called concurrently. A value is durable when
// Put returns; what is passed in or out is never shared with the caller.
type KV interface {
	// Get returns the value, or ErrNotFound.
	Get(key []byte) ([]byte, error)
	Put(key, value []byte) error
	// Delete removes the value; there may be none.
	Delete(key []byte) error
	// Scan calls f for the pairs whose key begins with prefix, by key, until f
	// returns false. f must not call the KV.
	Scan(prefix []byte, f func(key, value []byte) bool) error
}
