// Package limits holds the bounds of the Remote Execution API that more than
// one of its services keeps to or tells clients about. It is pure.
package limits

const (
	// MaxBatchBytes bounds the blobs of one batch call together. Clients read it
	// in the capabilities, where 0 would mean "no limit" to the specification and
	// "never batch" to remote-apis-sdks.
	MaxBatchBytes = 4 << 20
	// MaxMessageBytes bounds one message: a full batch and the digests of some
	// 5,000 blobs.
	MaxMessageBytes = MaxBatchBytes + 512<<10
	// MaxHeaderBytes bounds the headers of one call: request metadata and a key
	// take less than 1 KiB.
	MaxHeaderBytes = 32 << 10

	// MaxMemory bounds what all calls of all clients take together, as far as it is
	// counted: messages that come, are worked on and wait to be read. It is some 60 of
	// the largest messages, and a quarter of a small machine's memory.
	MaxMemory = 256 << 20
	// MaxTake bounds what one call may ask for at once: two thirds of what a
	// connection gets when it is alone.
	MaxTake = MaxMemory * 2 / 9

	// MaxBlobBytes bounds one blob: an image of a disk is smaller.
	MaxBlobBytes = 16 << 30

	// MinPriority is the most urgent that a client may say. 0 is what who says
	// nothing gets.
	MinPriority = -1000
	// MaxPriority is the least urgent.
	MaxPriority = 1000
)
