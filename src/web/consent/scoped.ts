import { html, type Html } from '../html.ts';
import { checkScript, grantScript, policyScript, withdrawScript, type ScriptSubject } from './exchange-script.ts';
import { code, portalOf } from './page.ts';
import type { ConsentView } from './view.ts';

export function subjectOf({ tenant, cloud, mailboxes, access }: ConsentView): ScriptSubject {
  return {
    tenantId: tenant.id,
    directory: tenant.directory,
    client: tenant.client,
    cloud,
    mailboxes: mailboxes.map(({ mailbox }) => mailbox),
    control: access.controlMailbox,
  };
}

/** The way by Exchange RBAC for Applications: steps in Entra, one script, one line pasted back; how to check and withdraw. */
export function scopedSteps(view: ConsentView, { isSheet }: { readonly isSheet: boolean }): Html {
  const { base, tenant, cloud, certificate } = view;
  const subject = subjectOf(view);
  const here = `${base}/${tenant.id}`;
  return html`<section aria-labelledby="steps">
    <h2 id="steps">Give access to these mailboxes only</h2>
    <p>
      Exchange names the mailboxes (RBAC for Applications). Entra grants <strong>no</strong> calendar permission, and no
      consent is asked for: one there would count for every mailbox.
    </p>
    ${isSheet ? null : html`<p class="screen"><a href="${here}/sheet">All steps as one sheet to print or send on</a></p>`}
    <ol>
      <li>
        In ${portalOf(cloud)}, App registrations, register an application (or open the one with the id
        <code>${tenant.client}</code>): accounts in this organisation only, no redirect address, <strong>no</strong> API
        permission; remove User.Read if it is there.
      </li>
      <li>
        ${
          certificate === null
            ? 'Under Certificates & secrets, make a client secret, and give its value to the operator of calendar-sync by a safe way. A certificate is better: ask the operator for one.'
            : html`Under Certificates &amp; secrets, upload
              ${isSheet ? html`the certificate that came with this sheet` : html`<a href="${here}/certificate.pem">this certificate</a>`}.
              It holds no secret.`
        }
      </li>
      <li>
        The operator needs the Application (client) id and the Directory (tenant) id. Known here:
        <code>${tenant.client}</code> and <code>${tenant.directory}</code>.
      </li>
      <li>
        Run this script in PowerShell 7. It may be run again when the list of mailboxes changes.
        ${isSheet ? null : html`<br /><a class="button second screen" href="${here}/grant.ps1">Download the script</a>`}
        ${
          subject.mailboxes.length === 0
            ? html`<p class="state bad">No mailbox is named yet: the operator adds sources first.</p>`
            : code(grantScript(subject), 'PowerShell script that gives access')
        }
      </li>
      <li>
        ${
          isSheet
            ? 'Send the last line that it prints to the operator, or paste it into the page from which this sheet comes.'
            : html`Paste the last line that it prints:
                <form method="post" action="${here}/paste">
                  <label for="result">Result of the script</label>
                  <textarea id="result" name="result" required autocomplete="off" spellcheck="false"></textarea>
                  <button>Send</button>
                </form>`
        }
      </li>
      <li>
        Exchange takes up to two hours. Until then this page says <em>propagating</em> and tries every two minutes;
        nothing is left to do.
      </li>
    </ol>
    <details ${isSheet ? html`open` : null}>
      <summary>To check what the program may read</summary>
      ${code(checkScript(subject), 'PowerShell script that checks access')}
    </details>
    <details ${isSheet ? html`open` : null}>
      <summary>To withdraw access</summary>
      <p>At once for new sign-ins: delete the certificate or secret in Entra. And in Exchange:</p>
      ${code(withdrawScript(subject), 'PowerShell script that withdraws access')}
    </details>
    <details ${isSheet ? html`open` : null}>
      <summary>The older way: an application access policy</summary>
      <p>
        Where RBAC for Applications is not available: grant the application permission Calendars.Read in Entra
        <em>and</em>
        limit it by a policy at once. It takes over an hour to work, though the test says so earlier: until then, every
        mailbox can be read. Name a control mailbox below; only its refusal proves the policy.
      </p>
      ${code(policyScript(subject), 'PowerShell script for an application access policy')}
    </details>
  </section>`;
}
