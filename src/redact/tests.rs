use proptest::prelude::*;

use super::{MARK, redact, redact_message, redact_reference};

/// Assembled at run time, so that scanners for tokens in source text do not report them.
fn made_up(start: &str, body: &str) -> String {
    format!("{start}{body}")
}

const BODY: &str = "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hJ6kL9n";

#[test]
fn what_is_called_a_secret_is_taken_out() {
    for (text, expected) in [
        ("ENV DB_PASSWORD=hunter2", "ENV DB_PASSWORD=***"),
        ("ENV A=1 SECRET=correct horse battery staple", "ENV A=1 SECRET=***"),
        ("ENV SECRET=c2VjcmV0 dmFsdWU= MODE=x", "ENV SECRET=***"),
        ("ENV SECRET=hunter2 MODE=x", "ENV SECRET=*** MODE=x"),
        ("ENV TOKEN=\"two words\" MODE=x", "ENV TOKEN=\"***\" MODE=x"),
        ("ENV API_KEY hunter2 and more", "ENV API_KEY ***"),
        ("/bin/sh -c #(nop) ENV API_KEY=hunter2", "/bin/sh -c #(nop) ENV API_KEY=***"),
        ("ONBUILD ENV PASSWORD=a b", "ONBUILD ENV PASSWORD=***"),
        ("ARG NPM_TOKEN=hunter2", "ARG NPM_TOKEN=***"),
        ("ARG PASSWORD=hunter2 B=x", "ARG PASSWORD=*** B=x"),
        ("LABEL com.example.api-key=hunter2", "LABEL com.example.api-key=***"),
        ("FROM a\nENV TOKEN hunter2 x\nRUN b", "FROM a\nENV TOKEN ***\nRUN b"),
        ("ENV A=1 \\\n    PASSWORD=hunter2 \\\n    B=2", "ENV A=1 \\\n    PASSWORD=*** \\\n    B=2"),
        ("RUN PASSWORD=hunter2 make", "RUN PASSWORD=*** make"),
        ("RUN export TOKEN='a b c'; make", "RUN export TOKEN='***'; make"),
        ("RUN make TOKEN=a\"b c\"d x", "RUN make TOKEN=*** x"),
        ("RUN tool --password=hunter2 --x", "RUN tool --password=*** --x"),
        ("RUN tool --password hunter2 --x", "RUN tool --password *** --x"),
        ("RUN tool --password \\\n  hunter2", "RUN tool --password \\\n  ***"),
        ("RUN tool --db-password 'a b' c", "RUN tool --db-password '***' c"),
        ("RUN tool --token abcdef", "RUN tool --token ***"),
        ("RUN tool --client-secret=abcdef", "RUN tool --client-secret=***"),
        (
            "RUN java -Dpassword=x1 -Djavax.net.ssl.trustStorePassword=changeit",
            "RUN java -Dpassword=*** -Djavax.net.ssl.trustStorePassword=***",
        ),
        ("RUN keytool -storepass changeit -noprompt", "RUN keytool -storepass *** -noprompt"),
        ("RUN openssl rsa -passin pass:hunter2 -in k", "RUN openssl rsa -passin *** -in k"),
        ("CMD [\"tool\",\"--password\",\"hunter2\"]", "CMD [\"tool\",\"--password\",\"***\"]"),
        ("CMD [\"tool\" \"--password\" \"hunter2\"]", "CMD [\"tool\" \"--password\" \"***\"]"),
        ("RUN echo '{\"password\": \"hunter2\",\"a\":1}'", "RUN echo '{\"password\": \"***\",\"a\":1}'"),
        ("RUN echo \"{\\\"token\\\":\\\"hunter2\\\"}\"", "RUN echo \"{\\\"token\\\":\\\"***\\\"}\""),
        (
            "RUN echo //registry.npmjs.org/:_authToken=hunter2 > .npmrc",
            "RUN echo //registry.npmjs.org/:_authToken=*** > .npmrc",
        ),
        (
            "RUN npm config set //r.example/:_authToken hunter2",
            "RUN npm config set //r.example/:_authToken ***",
        ),
        (
            "RUN aws configure set aws_secret_access_key hunter2",
            "RUN aws configure set aws_secret_access_key ***",
        ),
        (
            "RUN echo machine a.b login me password hunter2 > /root/.netrc",
            "RUN echo machine a.b login me password *** > /root/.netrc",
        ),
        ("RUN echo \"TOKEN = hunter2\" > a", "RUN echo \"TOKEN = ***\" > a"),
        (
            "ENV C=Server=x;User Id=sa;Password=hunter2;Encrypt=1",
            "ENV C=Server=x;User Id=sa;Password=***;Encrypt=1",
        ),
        (
            "ENV C=DefaultEndpointsProtocol=https;AccountName=x;AccountKey=aGVsbG8=;E=y",
            "ENV C=DefaultEndpointsProtocol=https;AccountName=x;AccountKey=***;E=y",
        ),
        (
            "RUN curl https://x.example/?access_token=hunter2&page=1",
            "RUN curl https://x.example/?access_token=***&page=1",
        ),
        (
            "RUN curl 'https://x.example/a?sv=1&sig=aB3%2Fx%3D&se=2'",
            "RUN curl 'https://x.example/a?sv=1&sig=***&se=2'",
        ),
        ("RUN make TOKEN=${TOKEN:-hunter2}", "RUN make TOKEN=***"),
        ("RUN echo ${TOKEN:-hunter2}", "RUN echo ${TOKEN:-***}"),
        (
            "RUN kubectl create secret generic x --from-literal=password=hunter2",
            "RUN kubectl create secret generic x --from-literal=password=***",
        ),
        (
            "RUN docker run -e PASSWORD=hunter2 --build-arg TOKEN=abcd x",
            "RUN docker run -e PASSWORD=*** --build-arg TOKEN=*** x",
        ),
        ("RUN a --secret-key-base=hunter22 b", "RUN a --secret-key-base=*** b"),
        ("RUN x apiKey=hunter2 clientSecret=hunter2", "RUN x apiKey=*** clientSecret=***"),
        ("RUN PGPASSWORD=hunter2 psql", "RUN PGPASSWORD=*** psql"),
        ("RUN A_TOKEN_2=hunter2 TOKEN_GITHUB=hunter2 x", "RUN A_TOKEN_2=*** TOKEN_GITHUB=*** x"),
        ("RUN AWS_ACCESS_KEY_ID=minioadmin x", "RUN AWS_ACCESS_KEY_ID=*** x"),
    ] {
        assert_eq!(redact(text), expected, "{text}");
    }
}

#[test]
fn what_stands_where_a_secret_does_is_taken_out() {
    for (text, expected) in [
        ("RUN git clone https://me:hunter2@git.example/a", "RUN git clone https://***@git.example/a"),
        (
            "RUN git clone https://aaaaaaaaaaaaaaaaaaaaaaaa@git.example/a",
            "RUN git clone https://***@git.example/a",
        ),
        (
            "RUN pip install -i https://u:p@ss@pypi.example/simple x",
            "RUN pip install -i https://***@pypi.example/simple x",
        ),
        ("RUN x https://u:p/w@h.example/a", "RUN x https://***@h.example/a"),
        ("ENV URL=mysql://u:hunter2@db:3306/app", "ENV URL=mysql://***@db:3306/app"),
        ("cannot reach `ssh://me:hunter2@host:22`", "cannot reach `ssh://***@host:22`"),
        (
            "proxy \"http://me:hunter2@proxy.example:3128\" refused",
            "proxy \"http://***@proxy.example:3128\" refused",
        ),
        ("redis://:hunter2@cache", "redis://***@cache"),
        ("RUN curl -H \"Authorization: Bearer abcd efgh\" x", "RUN curl -H \"Authorization: Bearer ***\" x"),
        ("RUN curl -H 'Authorization: Basic bWU6aHVudGVyMg==' x", "RUN curl -H 'Authorization: Basic ***' x"),
        ("RUN curl -H Authorization: token hunter2 x", "RUN curl -H Authorization: token *** x"),
        ("RUN curl -H 'PRIVATE-TOKEN: hunter2' x", "RUN curl -H 'PRIVATE-TOKEN: ***' x"),
        ("RUN curl -H \"X-Api-Key: hunter2\" x", "RUN curl -H \"X-Api-Key: ***\" x"),
        ("sent Bearer aB3dE6gH9jK2mN5p and lost", "sent Bearer *** and lost"),
        ("RUN curl -u me:hunter2 https://x", "RUN curl -u *** https://x"),
        ("RUN curl -sSume:hunter2 -uyou:hunter2 x", "RUN curl -sSu*** -u*** x"),
        ("RUN curl --user 'me:hun ter2' x", "RUN curl --user '***' x"),
        ("RUN docker login -u me -p hunter2 r.example", "RUN docker login -u me -p *** r.example"),
        ("RUN sshpass -p hunter2 ssh x", "RUN sshpass -p *** ssh x"),
        ("RUN mysql -uroot -phunter2 app", "RUN mysql -uroot -p*** app"),
        ("RUN redis-cli -a hunter2 ping", "RUN redis-cli -a *** ping"),
        ("RUN echo 'root:hunter2' | chpasswd", "RUN echo '***' | chpasswd"),
        ("RUN echo hunter2 | docker login --password-stdin", "RUN echo *** | docker login --password-stdin"),
        (
            "RUN printf %s hunter2 | gh auth login --with-token",
            "RUN printf %s *** | gh auth login --with-token",
        ),
        (
            "RUN curl https://hooks.slack.com/services/T0/B0/abcdefgh",
            "RUN curl https://hooks.slack.com/services/***",
        ),
    ] {
        assert_eq!(redact(text), expected, "{text}");
    }
}

#[test]
fn what_looks_like_a_secret_is_taken_out() {
    let tokens = [
        made_up("ghp_", &BODY[..36]),
        made_up("gho_", &BODY[..36]),
        made_up("ghu_", &BODY[..36]),
        made_up("ghs_", "secret-token"),
        made_up("ghr_", &BODY[..36]),
        made_up("github_pat_", &format!("{}_{BODY}", &BODY[..22])),
        made_up("glpat-", &BODY[..20]),
        made_up("npm_", &BODY[..36]),
        made_up("pypi-", &format!("AgEIcHlwaS5vcmc{BODY}{BODY}")),
        made_up("dckr_pat_", &BODY[..27]),
        made_up("AKIA", "IOSFODNN7EXAMPLE"),
        made_up("ASIA", "IOSFODNN7EXAMPLE"),
        made_up("AIza", &BODY[..35]),
        made_up("hvs.", &BODY[..24]),
        made_up("AGE-SECRET-KEY-1", &"QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L".repeat(2)[..58]),
        made_up("xoxb-", "1234567890-abcdefghij"),
        made_up("xoxp-", "1234567890-abcdefghij"),
        made_up("sk_live_", &BODY[..24]),
        made_up("rk_live_", &BODY[..24]),
        made_up("SG.", &format!("{}.{BODY}", &BODY[..22])),
        made_up("SK", "0123456789abcdef0123456789abcdef"),
        made_up("sk-ant-", &format!("api03-{BODY}")),
        made_up("sk-proj-", BODY),
        made_up("sk-", &BODY[..38]),
        made_up("hf_", &BODY[..34]),
        made_up("eyJ", &format!("hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.{}", &BODY[..30])),
    ];
    for token in &tokens {
        for (before, after) in
            [("RUN echo ", " > /x"), ("ENV A=", ""), ("RUN f('", "')"), ("x:", ","), ("\"", "\"")]
        {
            let text = format!("{before}{token}{after}");
            assert_eq!(redact(&text), format!("{before}{MARK}{after}"), "{text}");
        }
    }
    let key =
        "RUN echo '-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1r\n-----END OPENSSH PRIVATE KEY-----' > k";
    assert_eq!(redact(key), "RUN echo '***' > k");
    let cut = "echo -----BEGIN RSA PRIVATE KEY----- b3BlbnNzaC1rZXktdjEAAAAA b3BlbnNzaC1rZXktdjEAAAAA def";
    assert_eq!(redact(cut), "echo ***", "one that was cut");
}

#[test]
fn ordinary_text_stays() {
    for text in [
        "RUN --mount=type=secret,id=npm_token,env=NPM_TOKEN npm ci",
        "RUN --mount=type=secret,id=npm,target=/root/.npmrc npm ci",
        "RUN docker build --secret id=npm,src=.npmrc .",
        "RUN TOKEN=$TOKEN make",
        "RUN TOKEN=${TOKEN} PASSWORD=\"$(cat /run/secrets/x)\" make",
        "RUN export NPM_TOKEN=$(cat /run/secrets/npm_token) && npm ci",
        "RUN export NPM_TOKEN=`cat /run/secrets/npm_token` && npm ci",
        "RUN curl -H \"Authorization: Bearer $TOKEN\" https://x",
        "RUN curl -H \"Authorization: Bearer $(cat /run/secrets/t)\" https://x",
        "RUN git clone https://x-access-token:$TOKEN@github.com/a/b",
        "RUN git clone https://oauth2:${TOKEN}@gitlab.example/a/b",
        "RUN git clone ssh://git@github.com/a/b && git clone git@github.com:a/b",
        "RUN docker login -u $USER -p $PASSWORD r.example",
        "RUN echo \"$PASSWORD\" | docker login --password-stdin",
        "RUN echo \"root:$PASSWORD\" | chpasswd",
        "RUN curl -u $USER:$PASSWORD x",
        "RUN docker run -u 1000:1000 --user 1000:1000 -p 8080:80 x",
        "RUN mkdir -p /a/b && ssh -p 22 h",
        "RUN pip install --require-hashes x --hash=sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
        "FROM python:3.12@sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
        "RUN git checkout 0123456789abcdef0123456789abcdef01234567",
        "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin",
        "ENV GPG_KEY=E3FF2839C048B25C084DEBE9B26995E310250568",
        "ENV KEYCLOAK_VERSION=24.0.1 TOKENIZERS_PARALLELISM=false MONKEY=banana AUTHOR=someone",
        "ENV PASSWORD_FILE=/run/secrets/db TOKEN_URL=https://x.example/token AUTH_METHOD=password",
        "ENV POSTGRES_HOST_AUTH_METHOD=trust GOOGLE_APPLICATION_CREDENTIALS=/etc/gcp.json",
        "ENV SSH_AUTH_SOCK=/tmp/a TOKEN_TTL=3600 MAX_TOKENS=4096 SECRET_KEY_BASE_DUMMY=1",
        "ENV API_KEY=<your-key> TOKEN=xxxxxxxx SECRET=\"\"",
        "RUN PASSWORD= SECRET=\"\" make",
        "ENV TOKEN=${TOKEN:-} KEY=${KEY}",
        "ENV STRIPE_PUBLISHABLE_KEY=pk_live_0123456789 JWT_PUBLIC_KEY=abcdefgh",
        "LABEL maintainer=\"me <me@example.com>\" org.opencontainers.image.revision=0123456789abcdef",
        "LABEL maintainer=mailto:me@example.com",
        "ARG VERSION=1.2.3",
        "ARG NPM_TOKEN",
        "RUN apt-key adv --keyserver hkps://keys.openpgp.org --recv-keys E3FF2839C048B25C084D",
        "RUN npm install task-sk-runner pypi-simple npm_config_registry=x npm install @scope/pkg@1.2.3",
        "RUN gh auth login --with-token < /run/secrets/token",
        "RUN tool --no-password --token-file /run/t --password-stdin --pass-credentials repo",
        "RUN helm repo add --pass-credentials x https://x.example",
        "RUN adduser --disabled-password --gecos '' app",
        "RUN passwd -d root && passwd root",
        "RUN mysql -uroot -p app && useradd -m -p $HASH x",
        "RUN if [ -z \"$TOKEN\" ]; then exit 1; fi",
        "RUN [ \"$PASSWORD\" = \"\" ] || make",
        "COPY --chown=user:group secrets.txt token.json /app/",
        "RUN npm config set registry https://registry.npmjs.org/",
        "cannot log in: unauthorized: incorrect username or password: try again",
        "the token: expired; Bad credentials: 401",
        "RUN don't panic; echo it's a token",
        "app is not recorded in git:layergate-baselines yet",
        "docker://localhost:5000/team/service:1.2@sha256:0123456789abcdef",
        "RUN curl https://host:8080/@scope/pkg",
        "-----BEGIN PUBLIC KEY-----\nabc\n-----END PUBLIC KEY-----",
        "RUN auth=oidc --auth basic AUTH=none",
        "RUN python3 -c 'token = tokens[0]; key = x; api_key = make_key(1)'",
        "RUN perl -e 'my $k = Term::ReadKey::ReadKey(0)'",
        "RUN echo key: value; KEY=value; key value",
    ] {
        assert_eq!(redact(text), text);
    }
}

#[test]
fn references_may_have_a_login_without_a_scheme() {
    for (text, expected) in [
        ("me:hunter2@registry.example/app:1", "***@registry.example/app:1"),
        ("docker://me:hunter2@registry.example/app:1", "docker://***@registry.example/app:1"),
        ("oci:me:hunter2@registry.example:5000/app", "oci:***@registry.example:5000/app"),
        ("`me:hunter2@localhost/app`: no image", "`***@localhost/app`: no image"),
        ("registry:5000/team/api:1@sha256:0123", "registry:5000/team/api:1@sha256:0123"),
        ("api:1@sha256:0123", "api:1@sha256:0123"),
        ("npm:foo@1.2.3 mailto:me@example.com", "npm:foo@1.2.3 mailto:me@example.com"),
        ("git@github.com:a/b", "git@github.com:a/b"),
        ("me:hunter2@registry/app", "***@registry/app"),
        ("docker-archive:me:hunter2@registry/app", "docker-archive:***@registry/app"),
        ("me:hunter2@registry/app@sha512:0123", "***@registry/app@sha512:0123"),
        ("oci-archive:/tmp/me@c.tar:app", "oci-archive:/tmp/me@c.tar:app"),
        ("mailto:me@example.com", "mailto:me@example.com"),
    ] {
        assert_eq!(redact_reference(text), expected);
    }
}

/// A text that was meant as a URL, but is not one, also appears in messages.
#[test]
fn messages_have_no_login_before_any_host() {
    for (text, expected) in [
        ("the engine has no image `me:hunter2@registry/app`", "the engine has no image `***@registry/app`"),
        ("no engine at me:hunter2@host: refused", "no engine at ***@host: refused"),
        ("no image `app:1@sha256:0123` in git:main", "no image `app:1@sha256:0123` in git:main"),
        ("write to mailto:me@example.com", "write to mailto:me@example.com"),
    ] {
        assert_eq!(redact_message(text), expected);
    }
}

/// Anywhere that an instruction contains the name of an image, or a URL.
#[test]
fn images_and_hosts_of_instructions_have_no_login() {
    for (text, expected) in [
        ("COPY --from=me:hunter2@registry.example/app /a /b", "COPY --from=***@registry.example/app /a /b"),
        ("COPY --from=me:hunter2@registry/app:1 /a /b", "COPY --from=***@registry/app:1 /a /b"),
        ("FROM me:hunter2@registry/app AS x", "FROM ***@registry/app AS x"),
        ("FROM --platform=linux/arm64 me:hunter2@reg/app", "FROM --platform=linux/arm64 ***@reg/app"),
        (
            "RUN --mount=type=bind,from=me:hunter2@reg/app,target=/x make",
            "RUN --mount=type=bind,from=***@reg/app,target=/x make",
        ),
        ("RUN docker build --cache-from=me:hunter2@reg/app .", "RUN docker build --cache-from=***@reg/app ."),
        ("RUN docker pull me:hunter2@registry.example/app", "RUN docker pull ***@registry.example/app"),
        ("RUN crane copy a me:hunter2@127.0.0.1:5000/app", "RUN crane copy a ***@127.0.0.1:5000/app"),
        ("RUN psql me:hunter2@db.example:5432/app", "RUN psql ***@db.example:5432/app"),
        ("ADD https://me:hunter2@files.example/x /x", "ADD https://***@files.example/x /x"),
    ] {
        assert_eq!(redact(text), expected);
    }
    for text in [
        "COPY --from=build:1.2 /a@b /c",
        "COPY --from=python:3.12@sha256:0123 /a /b",
        "FROM reg:5000/app:1@sha512:0123 AS me",
        "FROM $USER:$PASSWORD@registry.example/app",
        "RUN npm install alias@npm:react@18.2.0 && rsync me@host.example:/a /b",
        "LABEL contact=sip:me@example.com mail=email:me@example.com",
    ] {
        assert_eq!(redact(text), text);
    }
}

#[test]
fn programs_take_a_secret_as_a_plain_word() {
    for text in [
        "RUN mc alias set store https://s3.example me hunter2",
        "RUN /usr/bin/mc --insecure alias set store https://s3.example me hunter2 --api S3v4",
        "RUN mc config host add store https://s3.example me hunter2",
        "RUN mc admin user add store me hunter2",
        "RUN docker run --network net minio/mc alias set store https://s3.example me hunter2",
        "RUN vault login hunter2",
        "RUN vault login -method token hunter2 && true",
        "RUN vault operator unseal hunter2",
        "RUN cargo login hunter2",
        "RUN cargo +nightly login --registry own hunter2",
        "RUN twine upload -u me -p hunter2 dist/*",
        "RUN rabbitmqctl add_user me hunter2",
        "RUN rabbitmqctl -n node change_password me hunter2",
        "RUN sudo rabbitmqctl authenticate_user me 'hunter2'",
        "RUN mysqladmin -u root password hunter2",
        "RUN echo 'mysql-server mysql-server/root_password password hunter2' | debconf-set-selections",
        "RUN debconf-set-selections <<< \"mysql-server mysql-server/root_password_again password hunter2\"",
        "RUN printf 'a a/password password hunter2\\n' | debconf-set-selections",
        "RUN powershell ConvertTo-SecureString 'hunter2' -AsPlainText -Force",
        "RUN $p = ConvertTo-SecureString -String \"hunter2\" -AsPlainText",
        "RUN echo \"define('DB_PASSWORD', 'hunter2');\" >> wp-config.php",
        "RUN echo \"define( 'AUTH_KEY', 'hunter2' );\" >> wp-config.php",
        "RUN sed -i 's/x/define(\"SECURE_AUTH_SALT\", \"hunter2\")/' wp-config.php",
        "RUN net user me hunter2 /add",
        "RUN neo4j-admin dbms set-initial-password hunter2",
        "RUN openssl passwd -6 hunter2",
        "RUN cypher-shell -u me -p hunter2",
        "RUN dotnet nuget push x.nupkg -k hunter2",
        "RUN gh secret set NAME -b hunter2",
        "RUN doctl auth init -t hunter2",
        "RUN nmcli device wifi connect net password hunter2",
        "RUN git config --global user.password hunter2",
        "RUN lftp -u me,hunter2 -e 'get x; bye' sftp://s3.example",
        "RUN smbclient //s3.example/share -U me%hunter2 -c 'get x'",
        "RUN smbclient -U 'me%hunter2' //s3.example/share",
        "RUN sqlplus -s me/hunter2@db:1521/app @/x.sql",
        "RUN sqlldr me/hunter2 control=x.ctl",
        "RUN net use Z: \\\\s3.example\\share hunter2 /user:me",
        "RUN net use \\\\s3.example\\share /USER:me hunter2 /persistent:no",
    ] {
        let shown = redact(text);
        assert!(shown.contains(MARK) && !shown.contains("hunter2"), "{shown}");
        for name in ["s3.example", "root_password", "AUTH_KEY", "DB_PASSWORD", "x.nupkg", " me ", "store"] {
            assert_eq!(shown.contains(name), text.contains(name), "{shown}");
        }
    }
    for text in [
        "RUN apt-get install -y mc vault cargo mkpasswd curl",
        "RUN mc alias set store https://s3.example $KEY $SECRET",
        "RUN mc alias list && mc alias set store https://s3.example",
        "RUN vault login -method=userpass username=me",
        "RUN vault login - < /run/secrets/token",
        "RUN cargo login < /run/secrets/token && cargo build",
        "RUN rabbitmqctl add_user me && rabbitmqctl list_users",
        "RUN echo define('DB_NAME', 'shop')",
        "RUN echo 'tzdata tzdata/Areas select Europe' | debconf-set-selections",
        "RUN net user me /delete",
        "RUN lftp -u me, sftp://s3.example && lftp -u $USER,$PASSWORD sftp://s3.example",
        "RUN smbclient -U me //s3.example/share && smbclient -U me%$PASSWORD //s3.example/share",
        "RUN sqlplus / as sysdba @/x.sql && sqlplus /nolog @/x.sql",
        "RUN net use Z: \\\\s3.example\\share && net use /delete Z:",
    ] {
        assert_eq!(redact(text), text);
    }
}

/// Each text has one secret, which is `hunter2` or the given one.
#[test]
fn what_takes_a_password_in_its_own_way_is_known() {
    let of = |secret: &str, text: &str| {
        let shown = redact(text).into_owned();
        assert!(shown.contains(MARK) && !shown.contains(secret), "{shown}");
    };
    for name in [
        "SSHPASS",
        "DBPASS",
        "PGPASS",
        "USERPASS",
        "DB_PW",
        "REDISCLI_AUTH",
        "PRIVKEY",
        "GH_PAT",
        "OAUTH2_BEARER",
    ] {
        of("hunter2", &format!("ENV {name}=hunter2"));
    }
    for text in [
        "RUN curl -fsSLu me:hunter2 https://x",
        "RUN curl -sSLu 'me:hunter2' https://x",
        "RUN curl --oauth2-bearer hunter2 https://x",
        "RUN echo root:hunter2 | /usr/sbin/chpasswd",
        "RUN echo root:hunter2 | tee /x | chpasswd",
        "RUN chpasswd <<< \"root:hunter2\"",
        "RUN echo hunter2 | passwd root",
        "RUN echo hunter2 | sudo -S make",
        "CMD redis-server --requirepass hunter2",
        "RUN echo requirepass hunter2 >> redis.conf",
        "RUN composer config --global http-basic.repo.example me hunter2",
        "RUN composer config github-oauth.github.com hunter2",
        "RUN bundle config gems.example me:hunter2",
        "RUN poetry config http-basic.x me hunter2 && poetry config pypi-token.x $TOKEN",
        "RUN poetry config pypi-token.x hunter2",
        "RUN npm config set _auth hunter2",
        "RUN htpasswd -nb me hunter2 > /x",
        "RUN htpasswd -bB -C 10 /etc/x me hunter2",
        "RUN ssh-keygen -t rsa -N hunter2 -f k",
        r#"RUN python3 -c 'import os; os.environ["DB_PASSWORD"] = "hunter2"'"#,
        r#"RUN psql -c "ALTER USER me PASSWORD 'hunter2'""#,
        r#"RUN psql -c 'ALTER USER me WITH PASSWORD '\''hunter2'\'''"#,
        r#"RUN mysql -e "CREATE USER me IDENTIFIED BY 'hunter2'""#,
        r#"RUN mysql -e "CREATE USER me IDENTIFIED WITH mysql_native_password BY 'hunter2'""#,
        "RUN echo '<password>hunter2</password>' > settings.xml",
        "RUN cat <<EOF > /x.yml password: hunter2 EOF",
        "RUN cat <<-'EOF' > /x.yml\npassword: hunter2\nEOF",
    ] {
        of("hunter2", text);
    }
    of("dXNlcjpwYXNz", r#"RUN echo '{"auths":{"r.example":{"auth":"dXNlcjpwYXNz"}}}' > /x"#);
    let token = made_up("GOCSPX-", &BODY[..28]);
    of(&token, &format!("ENV A={token}"));
}

#[test]
fn what_is_called_a_secret_and_is_none_stays() {
    let publishable = made_up("pk_live_", &BODY[..24]);
    for text in [
        "RUN echo 'app ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/app",
        "RUN apt-key adv --keyserver x --recv-key E3FF2839C048B25C084DEBE9B26995E310250568",
        "ENV S3_KEY=releases/v1/app.tar.gz TLS_KEY=certs/server.key KMS_KEY=arn:aws:kms:eu:1:key/x",
        "ENV GOOGLE_APPLICATION_CREDENTIALS=gcp.json",
        "ENV GOOGLE_APPLICATION_CREDENTIALS=C:\\keys\\gcp.json",
        "ENV ROUTING_KEY=tasks.created LDAP_AUTH=ldap://host:389",
        "RUN SECRET_KEY=dummy SECRET_KEY_BASE=dummy-key make",
        "RUN SECRET_KEY=changeme API_KEY=your-api-key-here TOKEN=placeholder make",
        "ENV BYPASS=north COMPASS=south GIT_ASKPASS=echo",
        "RUN ssh-keygen -t rsa -N '' -f k && bundle config set without 'development:test'",
        "RUN htpasswd -c /x me && composer config repo.x https://x.example",
        "RUN cat <<EOF > /x.yml password: $PASSWORD EOF",
        "RUN echo '<password>' && echo \"$PASSWORD\" | tee /x | chpasswd",
        &format!("ENV STRIPE_KEY={publishable}"),
    ] {
        assert_eq!(redact(text), text);
    }
    // A password is one, whatever its text, and a word beside a placeholder may be one.
    for (text, expected) in [
        ("ENV DB_PASSWORD=changeme", "ENV DB_PASSWORD=***"),
        ("ENV DB_PASSWORD=db.key", "ENV DB_PASSWORD=***"),
        ("ENV API_KEY=dummy-hunter2", "ENV API_KEY=***"),
        ("ENV API_KEY=aB3dE6gH9jK2mN5p.key", "ENV API_KEY=***"),
    ] {
        assert_eq!(redact(text), expected);
    }
}

#[test]
fn a_quote_that_is_none_hides_no_secret_behind_it() {
    for (text, expected) in [
        (
            r#"RUN sed -i "s/\"//g" f && export DB_PASSWORD="hunter2" && make"#,
            r#"RUN sed -i "s/\"//g" f && export DB_PASSWORD="***" && make"#,
        ),
        (
            r"RUN echo 'don'\''t' && tool --password 'hunter2' x",
            r"RUN echo 'don'\''t' && tool --password '***' x",
        ),
        (
            r#"RUN tr -d \" < f && curl -H "X-Api-Key: hunter2" x"#,
            r#"RUN tr -d \" < f && curl -H "X-Api-Key: ***" x"#,
        ),
        (
            r#"RUN tr -d \" < f && npm config set //r/:_authToken "hunter2""#,
            r#"RUN tr -d \" < f && npm config set //r/:_authToken "***""#,
        ),
        (
            r#"RUN echo "5\" disk" && tool --password "hunter2" x"#,
            r#"RUN echo "5\" disk" && tool --password "***" x"#,
        ),
        (r"RUN echo $'it\'s' && PASSWORD='hunter2' make", r"RUN echo $'it\'s' && PASSWORD='***' make"),
        (r"RUN x # users' && PASSWORD='hunter2' make", r"RUN x # users' && PASSWORD='***' make"),
        (
            "RUN x # users'\n  && curl -H 'A-Token: hunter2' x",
            "RUN x # users'\n  && curl -H 'A-Token: ***' x",
        ),
        ("RUN x # users' && curl -H 'A-Token: hunter2' x", "RUN x # users' && curl -H 'A-Token: ***' x"),
        (
            "RUN x # users' && curl -H 'Authorization: Bearer abcd efgh' x",
            "RUN x # users' && curl -H 'Authorization: Bearer ***' x",
        ),
        (r#"RUN echo \\" && PASSWORD="hunter2" x"#, r#"RUN echo \\" && PASSWORD="***" x"#),
        (r#"RUN echo "TOKEN="hunter2 && echo "x""#, r#"RUN echo "TOKEN="*** && echo "x""#),
    ] {
        assert_eq!(redact(text), expected, "{text}");
    }
    for text in [
        r#"RUN echo "password=" && echo "token:" && read token"#,
        r#"CMD ["tool","--password=","--token","$TOKEN"]"#,
        r#"RUN echo '{"password":"'"$PASSWORD"'"}' | curl -d @- x"#,
        r#"RUN curl -d "{\"token\":\"$TOKEN\"}" x"#,
    ] {
        assert_eq!(redact(text), text);
    }
}

/// Fragments that all rules look for.
const PIECES: &[&str] = &[
    "x_token=$(",
    "x_token=\"",
    "x_token='",
    "://a:b/",
    "://:@",
    "://:$a/",
    "eyJ-",
    "eyJ.",
    "sk-",
    "-----BEGIN PRIVATE KEY",
    "-----BEGIN PRIVATE KEY-----",
    "-----END ",
    "--token ",
    "\\\"",
    "$a/",
    "ENV ",
    "ENV TOKEN=a ",
    "\nENV A=b\"c",
    "ONBUILD ",
    "echo a|",
    "chpasswd|",
    "a:b@",
    "Bearer ",
    "set ",
    "${TOKEN:-",
    "`",
    "a'",
    "token:",
    "\u{e9}",
    "docker login -p ",
    "ghp_",
    "token=<",
    "token=a&",
    "=",
    "\\\n",
    "pwd={{",
    "$(",
    "TOKEN={{",
    "$PASSWORD:$a:",
    "\"Authorization:",
    "Authorization: Basic ",
    "\"",
    "'",
    "\\",
    "{",
    ")",
    "#",
    " # ",
    "\n",
    "curl -u ",
    "a",
    "Proc-Type: ",
    "<",
    "<password>",
    "<<EOF ",
    "PASSWORD '",
    "\"]=\"",
    "auth\":\"",
    "htpasswd -b ",
    "composer config http-basic.x ",
];

/// How many bytes are read per byte of a text.
fn work_of(text: &str) -> usize {
    super::WORK.set(0);
    let _ = redact_reference(text);
    super::WORK.get() / text.len()
}

#[test]
fn untrusted_text_is_no_more_work_than_any() {
    let work = |text: &str, length: usize| work_of(&text.repeat(length / text.len()));
    assert!(work("RUN tool --password $TOKEN && ", 4096) > 0, "nothing is counted");
    let check = |text: &str| {
        let (short, long) = (work(text, 256), work(text, 1 << 10));
        assert!(long <= MOST_WORK && long <= short + short / 4 + 4, "{text:?}: {short}, {long}");
    };
    for (place, one) in PIECES.iter().enumerate() {
        check(one);
        for other in &PIECES[place + 1..] {
            check(&format!("{one}{other}"));
            // Many of one, followed by many of the other.
            let [one, other] = [one, other].map(|piece| piece.repeat(512 / piece.len()));
            for text in [format!("ENV TOKEN={one}{other}"), format!("{other}\n{one}")] {
                assert!(work_of(&text) <= MOST_WORK, "{}: {one:.24}... {other:.24}...", work_of(&text));
            }
        }
    }
}

/// Maximum reads per byte: there are four rounds of five rules.
const MOST_WORK: usize = 64;

/// Texts made of fragments that the rules look for.
fn texts() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("ENV "),
        Just("RUN "),
        Just("TOKEN"),
        Just("PASSWORD"),
        Just("="),
        Just(":"),
        Just(" "),
        Just("\""),
        Just("'"),
        Just("\\"),
        Just("\n"),
        Just("--password"),
        Just("***"),
        Just("$"),
        Just("$("),
        Just("${"),
        Just(")"),
        Just("}"),
        Just("`"),
        Just("|"),
        Just("&"),
        Just(";"),
        Just("https://"),
        Just("@"),
        Just("/"),
        Just("hunter2"),
        Just("Authorization"),
        Just("Bearer"),
        Just("curl -u "),
        Just("docker login -p "),
        Just("echo "),
        Just("chpasswd"),
        Just("ghp_0123456789abcdef"),
        Just("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.x"),
        Just("é"),
        Just("-----BEGIN PRIVATE KEY-----"),
        Just("-----END "),
        Just(","),
        Just("set "),
        Just("<"),
        Just(">"),
        Just("-"),
        Just("_"),
        Just("."),
        Just("x"),
        Just("{"),
        Just("\u{10ffff}"),
        Just("a=b"),
        Just("#(nop) "),
        Just("\t"),
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_redacted_stays_as_it_is(text in texts()) {
        let once = redact_reference(&text).into_owned();
        prop_assert_eq!(redact_reference(&once), once.as_str());
    }

    #[test]
    fn no_text_is_too_odd(text in "\\PC*") {
        let once = redact_reference(&text).into_owned();
        prop_assert_eq!(redact_reference(&once), once.as_str());
    }
}
