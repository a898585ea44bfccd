package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// Kind says what sort of error it is: it decides the HTTP status and the exit
// status of the CLI.
type Kind string

// The kinds of errors.
const (
	Invalid     Kind = "invalid"     // the request, or the configuration of the project
	Forbidden   Kind = "forbidden"   // this caller may not
	NotFound    Kind = "not_found"   // no such build, peer, target
	Conflict    Kind = "conflict"    // not in this state
	Unavailable Kind = "unavailable" // the node drains, or no mesh could be reached
	Internal    Kind = "internal"
)

// Error is an error as clients get it: {"error", "hint", "kind"}.
type Error struct {
	Kind Kind `json:"kind"`
	// Message says what went wrong. It may have several lines.
	Message string `json:"error"`
	// Hint says what to do next.
	Hint string `json:"hint,omitempty"`
}

// Error implements error.
func (e *Error) Error() string {
	if e.Hint == "" {
		return e.Message
	}
	return e.Message + "; " + e.Hint
}

// Errorf makes an Error without a hint.
func Errorf(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Message: fmt.Sprintf(format, args...)}
}

// asError finds the Error in err, or makes an Internal one.
func asError(err error) *Error {
	var e *Error
	if !errors.As(err, &e) {
		return &Error{Kind: Internal, Message: err.Error()}
	}
	if full := err.Error(); full != e.Error() {
		return &Error{Kind: e.Kind, Message: full} // what wrapped it says more
	}
	return e
}

// status maps kinds to HTTP.
func (k Kind) status() int {
	switch k {
	case Invalid:
		return http.StatusBadRequest
	case Forbidden:
		return http.StatusForbidden
	case NotFound:
		return http.StatusNotFound
	case Conflict:
		return http.StatusConflict
	case Unavailable:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

// errorLine is an Error as the last line of a stream of events.
func errorLine(e *Error) []byte {
	line, err := json.Marshal(struct {
		Event string `json:"event"`
		*Error
	}{ErrorEvent, e})
	if err != nil {
		panic("api: an error of strings cannot be encoded: " + err.Error())
	}
	return line
}
