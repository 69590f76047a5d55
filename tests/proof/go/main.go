// Checks, with Go's own golang.org/x/mod/sumdb, what a delivery ledger hands out. Shares no code with it.
//
// Arguments: verifier key, checkpoint file, tlog-proof file, file with the event's bytes, folder of static tiles.
package main

import (
	"encoding/base64"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func read(path string) []byte {
	data, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	return data
}

func hash(text string) (h tlog.Hash) {
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(data) != tlog.HashSize {
		log.Fatalf("not a hash: %q", text)
	}
	copy(h[:], data)
	return h
}

// tree opens a checkpoint under the key and returns its size and root.
func tree(data []byte, vkey string) (int64, tlog.Hash) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		log.Fatal(err)
	}
	opened, err := note.Open(data, note.VerifierList(verifier))
	if err != nil {
		log.Fatal(err)
	}
	lines := strings.Split(opened.Text, "\n")
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		log.Fatal(err)
	}
	return size, hash(lines[2])
}

// tiles reads hash tiles as a plain web server would hand them out.
type tiles struct{ folder string }

func (t tiles) Height() int { return 8 }

func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range wanted {
		// tlog's path names the height too, which tlog-tiles fixes at 8.
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		data, err := os.ReadFile(filepath.Join(t.folder, path))
		if err != nil {
			return nil, err
		}
		found = append(found, data)
	}
	return found, nil
}

func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func main() {
	vkey, leaf := os.Args[1], tlog.RecordHash(read(os.Args[4]))
	size, root := tree(read(os.Args[2]), vkey)

	head, signed, _ := strings.Cut(string(read(os.Args[3])), "\n\n")
	proofSize, proofRoot := tree([]byte(signed), vkey)
	lines := strings.Split(head, "\n")
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
	if err != nil {
		log.Fatal(err)
	}
	var proof tlog.RecordProof
	for _, line := range lines[2:] {
		proof = append(proof, hash(line))
	}
	if err := tlog.CheckRecord(proof, proofSize, proofRoot, index, leaf); err != nil {
		log.Fatal(err)
	}

	reader := tlog.TileHashReader(tlog.Tree{N: size, Hash: root}, tiles{os.Args[5]})
	stored, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, index)})
	if err != nil {
		log.Fatal(err)
	}
	if stored[0] != leaf {
		log.Fatal("the tile holds another leaf hash")
	}
	fromTiles, err := tlog.ProveRecord(size, index, reader)
	if err != nil {
		log.Fatal(err)
	}
	if err := tlog.CheckRecord(fromTiles, size, root, index, leaf); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("leaf %d of %d\n", index, size)
}
