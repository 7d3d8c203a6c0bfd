import java.io.IOException;
import java.math.BigDecimal;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.DateTimeException;
import java.time.Duration;
import java.time.Instant;
import java.util.NoSuchElementException;
import java.util.OptionalLong;
import java.util.regex.Pattern;

/**
 * Whether this Pod leads, as leader-elector says it. Standard library only; Java 11 or later, on Linux.
 *
 * <p>Each method gives the fencing token while this Pod leads, and nothing in every other case: also where nobody
 * answers, or what is said cannot be read. Ask before each act, and send the token along with each write.
 */
public final class Leader {
    private static final HttpClient CLIENT =
            // A proxy that the environment names is not for questions within the Pod.
            HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(1)).proxy(HttpClient.Builder.NO_PROXY).build();

    private Leader() {}

    /** Asks the is-leader file. A sidecar that was killed leaves it behind: it counts only by its time, in its boot. */
    public static OptionalLong tokenByFile(Path path) {
        try {
            String said = Files.readString(path);
            String bootId = Files.readString(Path.of("/proc/sys/kernel/random/boot_id")).strip();
            boolean leads = field(said, "boot_id").equals(bootId)
                    && boottimeNs() < Long.parseLong(field(said, "lead_until_boottime_ns"))
                    && Instant.now().isBefore(Instant.parse(field(said, "lead_until")));
            return leads ? OptionalLong.of(Long.parseLong(field(said, "token"))) : OptionalLong.empty();
        } catch (IOException | IllegalArgumentException | DateTimeException | NoSuchElementException e) {
            return OptionalLong.empty();
        }
    }

    /** Asks the sidecar itself, such as at http://127.0.0.1:4040. */
    public static OptionalLong tokenByHttp(String url) {
        URI status = URI.create(url + "/v1/status");
        HttpRequest question = HttpRequest.newBuilder(status).timeout(Duration.ofSeconds(1)).build();
        try {
            HttpResponse<String> answer = CLIENT.send(question, HttpResponse.BodyHandlers.ofString());
            String said = answer.body();
            boolean leads = answer.statusCode() == 200
                    && field(said, "state").equals("leader")
                    // The answer may have been under way for long.
                    && Instant.now().isBefore(Instant.parse(field(said, "lead_until")));
            return leads ? OptionalLong.of(Long.parseLong(field(said, "token"))) : OptionalLong.empty();
        } catch (IOException | IllegalArgumentException | DateTimeException | NoSuchElementException e) {
            return OptionalLong.empty();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return OptionalLong.empty();
        }
    }

    /** CLOCK_BOOTTIME, which the standard library does not know, and the kernel tells here, rounded down to 10 ms. */
    private static long boottimeNs() throws IOException {
        String seconds = Files.readString(Path.of("/proc/uptime")).split(" ")[0];
        return new BigDecimal(seconds).movePointRight(9).longValueExact() + 10_000_000;
    }

    /** The value of a field of a flat JSON object. A quote within a value is written \", so no value looks like a name. */
    private static String field(String json, String name) {
        var found = Pattern.compile("\"" + name + "\":\"?([^\",}]*)[\",}]").matcher(json);
        if (!found.find()) {
            throw new NoSuchElementException(name);
        }
        return found.group(1);
    }

    public static void main(String[] args) {
        OptionalLong token = args[0].equals("file") ? tokenByFile(Path.of(args[1])) : tokenByHttp(args[1]);
        if (token.isEmpty()) {
            System.err.println("this Pod does not lead");
            System.exit(1);
        }
        System.out.println(token.getAsLong());
    }
}
