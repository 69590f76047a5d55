// Appends events of 900 bytes with Emmett's PostgreSQL store, as its documentation shows it; prints events a second.
// Arguments: connection string, writers, streams, seconds.
import { getPostgreSQLEventStore } from "@event-driven-io/emmett-postgresql";

const [url, writers, streams, seconds] = [process.argv[2], ...process.argv.slice(3).map(Number)];
const store = getPostgreSQLEventStore(url);
const event = { type: "Told", data: { text: "x".repeat(850) } };
await store.schema.migrate();
await store.appendToStream("delivery-0", [event]); // connected

let done = 0;
const begun = performance.now();
const until = begun + seconds * 1000;
const write = async (writer) => {
  for (let number = writer; performance.now() < until; number += writers) {
    await store.appendToStream(`delivery-${number % streams}`, [event]);
    done += 1;
  }
};
await Promise.all(Array.from({ length: writers }, (_, writer) => write(writer)));
console.log((done * 1000) / (performance.now() - begun));
await store.close();
