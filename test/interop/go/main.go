// Command interop holds ledgers against the Go implementations of the same C2SP formats.
//
//	interop check CLAIMS   judges what CLAIMS says about the logs beside it
//	interop make FOLDER    makes logs, and claims.json about them, for the other side to judge
//
// Standard output is one JSON object a line, one for each check. The exit status is 0 only if every check held.
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "interop:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("usage: interop check CLAIMS | interop make FOLDER")
	}
	switch args[0] {
	case "check":
		return check(args[1])
	case "make":
		return makeLogs(args[1])
	default:
		return fmt.Errorf("unknown command %q", args[0])
	}
}
