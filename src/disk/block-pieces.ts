/** Part of a request that lies in one block. */
export interface BlockPiece {
  /** The block. */
  readonly blockIndex: number;
  /** First byte in the block's data. */
  readonly offsetInBlock: number;
  /** Bytes. */
  readonly length: number;
  /** Bytes of the request before this piece. */
  readonly done: number;
}

/** Cuts a request at the boundaries of blocks of `blockSize` bytes. */
export function* cutAtBlocks(position: number, length: number, blockSize: number): Generator<BlockPiece> {
  for (let done = 0; done < length; ) {
    const offsetInBlock = (position + done) % blockSize;
    const pieceLength = Math.min(blockSize - offsetInBlock, length - done);
    yield { blockIndex: Math.floor((position + done) / blockSize), offsetInBlock, length: pieceLength, done };
    done += pieceLength;
  }
}
