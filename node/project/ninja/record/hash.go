package record

import "encoding/binary"

const (
	hashSeed  = 0xDECAFBADDECAFBAD
	hashMul   = 0xc6a4a7935bd1e995
	hashShift = 47
)

// Hash is how .ninja_log names a command: Austin Appleby's MurmurHash64A (the
// 64-bit MurmurHash2) under ninja's seed.
func Hash(command []byte) uint64 {
	data := command
	h := hashSeed ^ uint64(len(data))*hashMul
	for ; len(data) >= 8; data = data[8:] {
		k := binary.LittleEndian.Uint64(data) * hashMul
		k ^= k >> hashShift
		h = (h ^ k*hashMul) * hashMul
	}
	if len(data) > 0 {
		var tail [8]byte
		copy(tail[:], data)
		h = (h ^ binary.LittleEndian.Uint64(tail[:])) * hashMul
	}
	h ^= h >> hashShift
	h *= hashMul
	return h ^ h>>hashShift
}
