// Logs to try Respaldo on. They are made once, when the volume is.
const logs = db.getSiblingDB("logsdb");
logs.requests.createIndex({ at: 1 });
logs.requests.insertMany(
  Array.from({ length: 1000 }, (_, n) => ({ at: new Date(1700000000000 + n * 1000), path: `/items/${n}`, ms: n % 97 })),
);
