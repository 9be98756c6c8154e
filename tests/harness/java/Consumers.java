import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.StringJoiner;
import java.util.concurrent.locks.LockSupport;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Consumers of Kafka in one process, each with its own client and thread, and a producer.
 *
 * <p>Commands are read from standard input, one per line:
 *
 * <pre>
 * join NAME [KEY=VALUE]...   start a consumer whose client.id is NAME
 * leave NAME                 close a consumer
 * sleep NAME MILLISECONDS    sleep for that time after each poll; a current sleep ends accordingly
 * produce TOPIC RATE...      send that many records per second to partition 0, 1, ... from now on,
 *                            instead of those of an earlier command
 * quit                       end the process without closing the consumers
 * </pre>
 *
 * <p>The end of standard input is a quit, so that the process ends with the one that started it.
 * The arguments of the process are KEY=VALUE, too, and apply to all consumers. Keys are the
 * properties of Kafka's consumer (of which the producer uses bootstrap.servers), and:
 *
 * <pre>
 * topics=A,B          the topics to subscribe to
 * static=true         group.instance.id is NAME
 * poll.ms=100         the longest duration of a poll
 * work.us=0           the time to process a record
 * commit=none         or sync, async: how to commit after a poll with records
 * commit.ms=0         the shortest time between two such commits
 * commit.revoked=true whether to commit in onPartitionsRevoked, unless commit=none
 * </pre>
 *
 * <p>Events are written to standard output, one per line: the time of System.nanoTime, the name of
 * the consumer, the event and its details. The lines are in the order of their times.
 *
 * <pre>
 * member ID                                  the member id, after each change
 * assigned TOPIC:PARTITION...                also if no partition was added
 * revoked TOPIC:PARTITION...
 * lost TOPIC:PARTITION...
 * processed SINCE TOPIC:PARTITION:FIRST:LAST...
 *                                            the records of a poll, processed since that time
 * committed TOPIC:PARTITION:OFFSET...
 * refused EXCEPTION TOPIC:PARTITION:OFFSET...
 *                                            a commit that failed
 * left                                       the consumer was closed
 * failed MESSAGE                             the consumer ended with an exception; of the consumer
 *                                            "producer": a record was not written
 * </pre>
 */
public final class Consumers {
    private static final PrintStream OUT =
            new PrintStream(new FileOutputStream(FileDescriptor.out), false, StandardCharsets.UTF_8);

    public static void main(String[] args) {
        int status = 1;
        try {
            obey(settings(Arrays.asList(args)));
            status = 0;
        } catch (IOException | RuntimeException exception) {
            exception.printStackTrace();
        } finally {
            // The consumers do not leave their groups.
            Runtime.getRuntime().halt(status);
        }
    }

    /** Executes the commands of standard input. */
    private static void obey(Map<String, String> defaults) throws IOException {
        Map<String, Member> members = new HashMap<>();
        Traffic traffic = null;
        BufferedReader in =
                new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            List<String> words = Arrays.asList(line.trim().split(" +"));
            if (words.get(0).equals("quit")) {
                return;
            }
            String name = words.get(1);
            switch (words.get(0)) {
                case "join":
                    Map<String, String> settings = new HashMap<>(defaults);
                    settings.putAll(settings(words.subList(2, words.size())));
                    Member member = new Member(name, settings);
                    members.put(name, member);
                    new Thread(member, name).start();
                    break;
                case "leave":
                    members.get(name).leave();
                    break;
                case "sleep":
                    members.get(name).sleep(Long.parseLong(words.get(2)));
                    break;
                case "produce":
                    if (traffic == null) {
                        traffic = new Traffic(defaults.get("bootstrap.servers"));
                        new Thread(traffic, Traffic.NAME).start();
                    }
                    List<String> rates = words.subList(2, words.size());
                    traffic.set(name, rates.stream().mapToDouble(Double::parseDouble).toArray());
                    break;
                default:
                    throw new IllegalArgumentException(line);
            }
        }
    }

    private static Map<String, String> settings(List<String> words) {
        Map<String, String> settings = new HashMap<>();
        for (String word : words) {
            String[] pair = word.split("=", 2);
            settings.put(pair[0], pair[1]);
        }
        return settings;
    }

    /** Prints an event. The time is read under the lock, so that lines and times have one order. */
    private static synchronized void print(String name, String event, String details) {
        OUT.print(System.nanoTime() + " " + name + " " + event);
        OUT.print(details.isEmpty() ? "\n" : " " + details + "\n");
        OUT.flush();
    }

    private static String list(Collection<TopicPartition> partitions) {
        StringJoiner list = new StringJoiner(" ");
        for (TopicPartition partition : partitions) {
            list.add(partition.topic() + ":" + partition.partition());
        }
        return list.toString();
    }

    private static String offsets(Map<TopicPartition, OffsetAndMetadata> offsets) {
        StringJoiner list = new StringJoiner(" ");
        offsets.forEach(
                (partition, offset) ->
                        list.add(
                                partition.topic()
                                        + ":"
                                        + partition.partition()
                                        + ":"
                                        + offset.offset()));
        return list.toString();
    }

    /** The producer and its thread. */
    private static final class Traffic implements Runnable {
        static final String NAME = "producer";
        private static final long TICK_NANOS = 20_000_000;
        private static final byte[] PAYLOAD = "work".getBytes(StandardCharsets.UTF_8);

        private final Properties properties = new Properties();
        private String topic = "";
        private double[] rates = {};

        /** The records that are due, by partition, as a fraction below one between two ticks. */
        private double[] due = {};

        Traffic(String bootstrap) {
            properties.put("bootstrap.servers", bootstrap);
            properties.put("linger.ms", "5");
        }

        synchronized void set(String topic, double[] rates) {
            this.topic = topic;
            this.rates = rates;
            due = new double[rates.length];
            for (int partition = 0; partition < due.length; partition++) {
                // The partitions do not get their records at the same times.
                due[partition] = partition * 0.618 % 1;
            }
        }

        @Override
        public void run() {
            ByteArraySerializer bytes = new ByteArraySerializer();
            try (KafkaProducer<byte[], byte[]> producer =
                    new KafkaProducer<>(properties, bytes, bytes)) {
                long before = System.nanoTime();
                while (true) {
                    LockSupport.parkNanos(TICK_NANOS);
                    long now = System.nanoTime();
                    // Records of a time in which the machine was asleep are left out.
                    send(producer, Math.min(1, (now - before) / 1e9));
                    before = now;
                }
            } catch (KafkaException exception) {
                failed(exception);
            }
        }

        private synchronized void send(KafkaProducer<byte[], byte[]> producer, double seconds) {
            for (int partition = 0; partition < rates.length; partition++) {
                due[partition] += rates[partition] * seconds;
                for (; due[partition] >= 1; due[partition]--) {
                    producer.send(
                            new ProducerRecord<>(topic, partition, null, PAYLOAD),
                            (written, exception) -> {
                                if (exception != null) {
                                    failed(exception);
                                }
                            });
                }
            }
        }

        private static void failed(Exception exception) {
            print(NAME, "failed", exception.toString().replace('\n', ' '));
        }
    }

    /** A consumer and its thread. */
    private static final class Member implements Runnable, ConsumerRebalanceListener {
        private final String name;
        private final List<String> topics;
        private final Duration poll;
        private final long workMicros;
        private final String commit;
        private final long commitMillis;
        private final boolean commitsRevoked;
        private final Properties properties = new Properties();
        private KafkaConsumer<byte[], byte[]> consumer;
        private String id = "";

        /** The position after the processed records, of partitions with uncommitted ones. */
        private final Map<TopicPartition, OffsetAndMetadata> uncommitted = new HashMap<>();

        private long committedAt = System.nanoTime();
        private boolean leaves;
        private long sleepMillis;

        Member(String name, Map<String, String> settings) {
            this.name = name;
            topics = Arrays.asList(settings.remove("topics").split(","));
            poll = Duration.ofMillis(Long.parseLong(take(settings, "poll.ms", "100")));
            workMicros = Long.parseLong(take(settings, "work.us", "0"));
            commit = take(settings, "commit", "none");
            commitMillis = Long.parseLong(take(settings, "commit.ms", "0"));
            commitsRevoked = Boolean.parseBoolean(take(settings, "commit.revoked", "true"));
            properties.put("client.id", name);
            if (Boolean.parseBoolean(take(settings, "static", "false"))) {
                properties.put("group.instance.id", name);
            }
            properties.putAll(settings);
        }

        private static String take(Map<String, String> settings, String key, String otherwise) {
            String value = settings.remove(key);
            return value == null ? otherwise : value;
        }

        synchronized void leave() {
            leaves = true;
            notifyAll();
        }

        synchronized void sleep(long millis) {
            sleepMillis = millis;
            notifyAll();
        }

        private synchronized boolean leaves() {
            return leaves;
        }

        /** Sleeps after a poll. The duration may change meanwhile. */
        private synchronized void pause() throws InterruptedException {
            long began = System.nanoTime();
            while (!leaves) {
                long rest = sleepMillis - (System.nanoTime() - began) / 1_000_000;
                if (rest <= 0) {
                    return;
                }
                wait(rest);
            }
        }

        @Override
        public void run() {
            ByteArrayDeserializer bytes = new ByteArrayDeserializer();
            try (KafkaConsumer<byte[], byte[]> client =
                    new KafkaConsumer<>(properties, bytes, bytes)) {
                consumer = client;
                client.subscribe(topics, this);
                while (!leaves()) {
                    ConsumerRecords<byte[], byte[]> records = client.poll(poll);
                    identify();
                    if (!records.isEmpty()) {
                        process(records);
                        if (System.nanoTime() - committedAt >= commitMillis * 1_000_000) {
                            committedAt = System.nanoTime();
                            commit(commit);
                        }
                    }
                    pause();
                }
            } catch (Exception exception) {
                print(name, "failed", exception.toString().replace('\n', ' '));
                return;
            }
            print(name, "left", "");
        }

        private void identify() {
            String current = consumer.groupMetadata().memberId();
            if (!current.equals(id)) {
                id = current;
                print(name, "member", id);
            }
        }

        private void process(ConsumerRecords<byte[], byte[]> records) {
            long since = System.nanoTime();
            if (workMicros > 0) {
                long until = since + records.count() * workMicros * 1_000;
                for (long now = since; now < until; now = System.nanoTime()) {
                    LockSupport.parkNanos(until - now);
                }
            }
            StringJoiner ranges = new StringJoiner(" ");
            for (TopicPartition partition : records.partitions()) {
                List<ConsumerRecord<byte[], byte[]>> batch = records.records(partition);
                long first = batch.get(0).offset();
                long last = batch.get(batch.size() - 1).offset();
                ranges.add(
                        partition.topic() + ":" + partition.partition() + ":" + first + ":" + last);
                uncommitted.put(partition, new OffsetAndMetadata(last + 1));
            }
            print(name, "processed", since + " " + ranges);
        }

        private void commit(String how) {
            if (how.equals("none") || uncommitted.isEmpty()) {
                return;
            }
            Map<TopicPartition, OffsetAndMetadata> offsets = Map.copyOf(uncommitted);
            if (how.equals("async")) {
                consumer.commitAsync(offsets, (committed, error) -> ended(offsets, error));
                return;
            }
            try {
                consumer.commitSync(offsets);
                ended(offsets, null);
            } catch (KafkaException refused) {
                ended(offsets, refused);
            }
        }

        /** A commit has ended. The offsets of one that failed are part of the next one. */
        private void ended(Map<TopicPartition, OffsetAndMetadata> offsets, Exception error) {
            if (error == null) {
                uncommitted.entrySet().removeAll(offsets.entrySet());
                print(name, "committed", offsets(offsets));
            } else {
                print(name, "refused", error.getClass().getSimpleName() + " " + offsets(offsets));
            }
        }

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
            print(name, "assigned", list(partitions));
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
            print(name, "revoked", list(partitions));
            if (commitsRevoked && !commit.equals("none")) {
                commit("sync");
            }
            uncommitted.keySet().removeAll(partitions);
        }

        @Override
        public void onPartitionsLost(Collection<TopicPartition> partitions) {
            print(name, "lost", list(partitions));
            uncommitted.keySet().removeAll(partitions);
        }
    }
}
